"""The settings in force: those of all sections (``stream.sections``), from wherever they were written.

A value is taken from, in this order: a flag (``--max-wait-ms 20``), the environment
(``EMOTION_MAX_WAIT_MS=20``), ``emotion-stream.toml`` in the working directory, the default here
(``stream.sources``). Secrets have no flag, since anybody on the machine can read a command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stream import sources
from stream.errors import SettingsError
from stream.inputs import Inputs
from stream.sections import (
    SECTIONS,
    AnnotateSettings,
    DashboardSettings,
    KafkaSettings,
    MappingSettings,
    MonitorSettings,
    ObserveSettings,
    PrivacySettings,
    RegistrySettings,
    TopicSettings,
)
from stream.sources import Origin
from stream.topics import TopicSpec, largest_record_bytes, published_bytes, topic_specs

__all__ = [
    "SECTIONS",
    "AnnotateSettings",
    "KafkaSettings",
    "ResolvedSettings",
    "Settings",
    "load_settings",
    "resolve_settings",
]


class Settings(
    ObserveSettings,
    PrivacySettings,
    DashboardSettings,
    MonitorSettings,
    AnnotateSettings,
    RegistrySettings,
    MappingSettings,
    TopicSettings,
    KafkaSettings,
    BaseSettings,
):
    """All settings in force, read once at the edge (``load_settings``) and handed down.

    Made directly, it takes what it is given and reads neither environment nor file.
    """

    model_config = SettingsConfigDict(
        env_prefix=sources.ENV_PREFIX, extra="forbid", frozen=True, protected_namespaces=()
    )

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # only one of the sources is of use here
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: ``resolve_settings`` reads the other sources, to know each value's origin."""
        del settings_cls
        return (init_settings,)

    @property
    def largest_record_bytes(self) -> int:
        """Most that one record we publish can have."""
        return largest_record_bytes(self.max_message_bytes)

    @property
    def published_bytes(self) -> int:
        """Most that a batch in the topics we publish to can have, as ``topics create`` makes them."""
        return published_bytes(self.max_message_bytes)

    def topic_specs(self) -> tuple[TopicSpec, ...]:
        """All topics as ``topics create`` makes them; with a pattern none that messages are read from.

        Raises:
            SettingsError: as ``Inputs.of``.
        """
        return topic_specs(
            Inputs.of(self).names,
            self.topics,
            partitions=self.partitions,
            retention_days=self.retention_days,
            max_message_bytes=self.max_message_bytes,
        )


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """Settings in force, where each value that is not the default was written, and what looks wrong."""

    settings: Settings
    origins: dict[str, Origin]
    warnings: tuple[str, ...]

    def origin(self, name: str) -> Origin:
        """Where the value of a setting comes from."""
        return self.origins.get(name, sources.DEFAULT)


def resolve_settings(
    flags: Mapping[str, Any] | None = None, *, config: Path | None = None
) -> ResolvedSettings:
    """Settings in force, from ``flags`` (``None``: not given), environment, file (``config``) and defaults.

    Raises:
        SettingsError: one line that names the setting, its source and what is allowed.
    """
    values = sources.from_environment(Settings).under(sources.from_flags(flags or {}))
    if path := sources.settings_file(config):
        values = sources.from_file(Settings, path).under(values)
    try:
        settings = Settings(**values.by_name)
    except ValidationError as error:
        name = str(next(iter(error.errors()[0]["loc"]), "settings"))
        origin = values.origins.get(name, sources.DEFAULT)
        raise SettingsError(sources.explain(error, Settings, name, origin)) from None
    return ResolvedSettings(settings, values.origins, sources.unknown_variables(Settings))


def load_settings(flags: Mapping[str, Any] | None = None, *, config: Path | None = None) -> Settings:
    """Settings in force; see ``resolve_settings``."""
    return resolve_settings(flags, config=config).settings
