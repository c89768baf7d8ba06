"""Which topics messages are read from: those that are named, or those whose name matches a pattern. Pure.

    input_topic = "chat,mail"                 each of them must exist
    input_pattern = 'support\\.(chat|mail)'    those there are, and those that come

What emotion-stream writes matches no pattern: it would be read, labelled and written again for ever.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.errors import SettingsError

if TYPE_CHECKING:
    from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """``"chat" in inputs`` says whether a topic is one of them. ``names`` is empty with a pattern.

    ``ours`` are the topics that we write, and ``our_prefixes`` begin the names of others that are nobody's
    messages: the monitor's changelogs, and Kafka's own.
    """

    names: tuple[str, ...]
    pattern: re.Pattern[str] | None
    ours: frozenset[str]
    our_prefixes: tuple[str, ...]

    @classmethod
    def of(cls, settings: "Settings") -> "Inputs":
        """What the settings ask for.

        Raises:
            SettingsError: they ask for both, for nothing, or for what we write.
        """
        names = tuple(dict.fromkeys(name.strip() for name in settings.input_topic.split(",")))
        ours = frozenset(settings.topics.written)
        if settings.input_pattern is not None:
            if "input_topic" in settings.model_fields_set:
                raise SettingsError(
                    f"input_topic ({settings.input_topic}) and input_pattern ({settings.input_pattern}) are "
                    "both set: keep the one that says what to read"
                )
            names = ()
        if "" in names:
            raise SettingsError("input_topic holds an empty name: write topics as in chat,mail")
        if written := ours.intersection(names):
            raise SettingsError(
                f"input_topic names {', '.join(sorted(written))}, which we write ourselves: name the topics "
                "that producers write, or set another topic_prefix"
            )
        pattern = re.compile(settings.input_pattern) if settings.input_pattern is not None else None
        return cls(names, pattern, ours, (f"{settings.monitor_group_id}-", "__"))

    def __contains__(self, topic: object) -> bool:
        if self.pattern is None:
            return topic in self.names
        return (
            isinstance(topic, str)
            and topic not in self.ours
            and not topic.startswith(self.our_prefixes)
            and self.pattern.fullmatch(topic) is not None
        )

    def __str__(self) -> str:
        """The setting: for logs and traces, where it must stay one short name whatever matches."""
        return self.pattern.pattern if self.pattern is not None else ",".join(self.names)


def checked_pattern(setting: str) -> str:
    """The pattern as it is, for validation.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        re.compile(setting)
    except re.error as error:
        raise ValueError(f"no regular expression ({error}): write one such as support\\..*") from None
    return setting
