"""What the user of each program must be allowed on the cluster (Kafka ACLs), by program and option. Pure.

docs/rights.md is made from this table, and a test runs each program with just these rights on a broker that
grants nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from stream.settings import Settings

Resource = Literal["topic", "group", "transactional id"]
Operation = Literal["read", "write", "create", "alter", "describe", "describe configs"]


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on a resource. ``name`` has topics and groups of the settings in braces.

    ``prefixed``: on all whose names begin so. ``option``: needed only with it; "" is always. Kafka takes read
    and write to imply describe.
    """

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False
    option: str = ""

    def names_for(self, settings: Settings) -> tuple[str, ...]:
        """The names under these settings: one, or one for each input topic."""
        return tuple(dict.fromkeys(self._named(settings, name) for name in settings.input_topic.split(",")))

    def _named(self, settings: Settings, input_topic: str) -> str:
        names = settings.topics
        return self.name.format(
            input=input_topic.strip(),
            emotions=names.emotions,
            counts=names.counts,
            signals=names.signals,
            dlq=names.dlq,
            counters=names.counters,
            alerts=names.alerts,
            undelivered=names.undelivered,
            reviews=names.reviews,
            optout=names.optout,
            group=settings.group_id,
            monitor_group=settings.monitor_group_id,
        )


def _topics(names: str, *operations: Operation, option: str = "") -> Iterator[Right]:
    return (Right("topic", f"{{{name}}}", operations, option=option) for name in names.split())


_OURS: Final = "emotions counts signals dlq counters alerts undelivered reviews optout"
_BOARD: Final = "counters alerts reviews"

RIGHTS: Final[dict[str, tuple[Right, ...]]] = {
    "annotate": (
        *_topics("input", "read"),
        *_topics("emotions counts signals dlq", "write"),
        Right("group", "{group}", ("read",)),
        Right("transactional id", "{group}:", ("write",), prefixed=True, option="guarantee = exactly_once"),
        *_topics("optout", "read", option="optout_topic"),
    ),
    "monitor": (
        *_topics("counts signals reviews", "read"),
        *_topics("counters alerts", "read", "write"),
        Right("topic", "{monitor_group}-", ("create", "alter", "read", "write"), prefixed=True),
        Right("group", "{monitor_group}", ("read",)),
        Right("transactional id", "{monitor_group}:", ("write",), prefixed=True),
        *_topics("undelivered", "write", option="webhook_url"),
        Right("group", "{monitor_group}-webhook", ("read",), option="webhook_url"),
    ),
    "monitor --check": (*_topics("counts signals counters alerts reviews undelivered", "describe"),),
    "dashboard": (
        *_topics("emotions counters alerts", "read"),
        *_topics("reviews", "read", "write"),
        *_topics("input", "describe", option="to show how many messages wait"),
        Right("group", "{group}", ("describe",), option="to show how many messages wait"),
    ),
    "alerts list, alerts show": tuple(_topics(_BOARD, "read")),
    "alerts ack, confirm, dismiss": (
        *_topics("counters alerts", "read"),
        *_topics("reviews", "read", "write"),
    ),
    "backtest --from TOPIC": (
        *_topics(_BOARD, "read"),
        *_topics("emotions signals", "read", option="the one that is named"),
    ),
    "forget": (
        *_topics("counters reviews", "read"),
        *_topics("alerts", "read", "write"),
        *_topics("optout signals counts", "write"),
    ),
    "produce": tuple(_topics("input", "write")),
    "replay": (
        *_topics("dlq", "read"),
        *_topics("input", "read", "write"),
        Right("group", "{group}-replay-", ("read",), prefixed=True),
        Right("transactional id", "{group}:replay", ("write",)),
    ),
    "replay --dry-run": (
        *_topics("dlq", "read"),
        *_topics("input", "describe"),
        Right("group", "{group}-replay-", ("describe",), prefixed=True),
    ),
    "tail": tuple(_topics(_OURS.removesuffix(" optout"), "read", option="the one that is named")),
    "topics create": tuple(_topics(f"input {_OURS}", "create", "describe", "describe configs")),
    "topics list, topics check": tuple(_topics(f"input {_OURS}", "describe", "describe configs")),
}
"""By program. ``classify``, ``settings``, ``demo`` and ``broker`` ask no cluster."""
