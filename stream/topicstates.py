"""A topic as it is stated and as the cluster has it: where the two differ, and what to do about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stream.topics import TopicSpec


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One property of a topic that is not as stated. ``remedy`` is what a person can do."""

    topic: str
    property: str
    actual: str
    wanted: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.property} is {self.actual}, should be {self.wanted}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as stated and as the cluster has it.

    ``partitions`` is None where the topic does not exist; ``config`` is None where the cluster does not
    tell it, and ``config_error`` then says why.
    """

    spec: TopicSpec
    partitions: int | None = None
    replicas: int | None = None
    config: Mapping[str, str] | None = None
    config_error: str | None = None
    created: bool = False

    @property
    def exists(self) -> bool:
        return self.partitions is not None

    def mismatches(self, bootstrap_servers: str) -> list[Mismatch]:
        """Where the existing topic differs; what the cluster does not tell is not held against it."""
        if self.partitions is None:
            return []
        found = (
            [self._partitions_differ(bootstrap_servers)] if self.partitions != self.spec.partitions else []
        )
        for key, wanted in self.spec.config.items():
            actual = (self.config or {}).get(key)
            if actual is not None and not _same(key, actual, wanted):
                found.append(self._config_differs(bootstrap_servers, key, actual, wanted))
        return found

    def _partitions_differ(self, bootstrap_servers: str) -> Mismatch:
        name, wanted = self.spec.name, self.spec.partitions
        if self.partitions is not None and self.partitions < wanted:
            remedy = (
                f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --alter --topic {name} "
                f"--partitions {wanted}, or set partitions to {self.partitions}"
            )
        else:
            remedy = f"Kafka cannot take partitions away, so set partitions to {self.partitions}"
        return Mismatch(name, "partitions", str(self.partitions), str(wanted), remedy)

    def _config_differs(self, bootstrap_servers: str, key: str, actual: str, wanted: str) -> Mismatch:
        value = f"[{wanted}]" if "," in wanted else wanted
        remedy = (
            f"kafka-configs.sh --bootstrap-server {bootstrap_servers} --alter --entity-type topics "
            f"--entity-name {self.spec.name} --add-config {key}={value}"
        )
        setting = _SETTING_OF.get(key)
        return Mismatch(
            self.spec.name, key, actual, wanted, f"{remedy}, or set {setting}" if setting else remedy
        )


_SETTING_OF: Final = {"retention.ms": "retention_days", "max.message.bytes": "max_message_bytes"}


def _same(key: str, actual: str, wanted: str) -> bool:
    if key == "cleanup.policy":
        return set(actual.replace(" ", "").split(",")) == set(wanted.split(","))
    return actual == wanted
