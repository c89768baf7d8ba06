"""The topics that emotion-stream reads and writes, with the policies each must have.

Everything here can reveal how people feel, so every topic has a retention, but the one
that remembers who opted out.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000
KAFKA_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's own limit. It is on batches, whatever the size of their messages, so no topic's may lie below."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. ``purpose`` is for people; the rest is what the broker is asked for."""

    name: str
    purpose: str
    partitions: int
    retention_ms: int
    cleanup_policy: str = "delete"
    max_message_bytes: int | None = None

    @property
    def config(self) -> dict[str, str]:
        """Topic configuration as Kafka spells it."""
        config = {"cleanup.policy": self.cleanup_policy, "retention.ms": str(self.retention_ms)}
        if self.max_message_bytes is not None:
            config["max.message.bytes"] = str(self.max_message_bytes)
        return config


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names of the topics that we write; they follow from one prefix."""

    prefix: str

    @property
    def written(self) -> tuple[str, ...]:
        """All of them."""
        return (
            self.emotions,
            self.counts,
            self.signals,
            self.dlq,
            self.counters,
            self.alerts,
            self.undelivered,
            self.reviews,
            self.optout,
        )

    @property
    def emotions(self) -> str:
        return self.prefix

    @property
    def counts(self) -> str:
        return f"{self.prefix}.counts"

    @property
    def signals(self) -> str:
        return f"{self.prefix}.signals"

    @property
    def dlq(self) -> str:
        return f"{self.prefix}.dlq"

    @property
    def counters(self) -> str:
        return f"{self.prefix}.counters"

    @property
    def alerts(self) -> str:
        return f"{self.prefix}.alerts"

    @property
    def undelivered(self) -> str:
        return f"{self.prefix}.alerts.dlq"

    @property
    def reviews(self) -> str:
        return f"{self.prefix}.reviews"

    @property
    def optout(self) -> str:
        return f"{self.prefix}.optout"


def largest_record_bytes(max_message_bytes: int) -> int:
    """Most that one record we publish can have.

    JSON writes a control character as six bytes; the rest is for the other fields and the headers. A dead
    letter is as long as the broker accepts messages.
    """
    return max(KAFKA_MAX_MESSAGE_BYTES, 6 * max_message_bytes) + 65_536


def published_bytes(max_message_bytes: int) -> int:
    """The limit of the topics that we publish to: whatever we publish fits twice."""
    return 2 * largest_record_bytes(max_message_bytes)


def topic_specs(
    inputs: Iterable[str],
    names: TopicNames,
    *,
    partitions: int,
    retention_days: float,
    max_message_bytes: int,
) -> tuple[TopicSpec, ...]:
    """All topics in the order in which data flows, from the ``inputs`` on.

    ``partitions`` counts for every topic: outputs share the partition of their input, so the order of
    one key's messages is kept. ``max_message_bytes`` is what a message may have; the broker's limit on the
    input stands above it, so that a too large message reaches the dead letters instead of its producer's
    log. Whatever the input holds must fit into the outputs, or one message would stop its partition.
    """
    retention_ms = int(retention_days * DAY_MS)
    compacted = "compact,delete"
    accepted = max(KAFKA_MAX_MESSAGE_BYTES, 4 * max_message_bytes)
    published = published_bytes(max_message_bytes)

    def topic(name: str, purpose: str, **policy: object) -> TopicSpec:
        settings = {"partitions": partitions, "retention_ms": retention_ms, **policy}
        return TopicSpec(name=name, purpose=purpose, **settings)  # type: ignore[arg-type]  # checked by tests

    return (
        *(topic(name, "messages to label", max_message_bytes=accepted) for name in inputs),
        topic(names.emotions, "labelled messages", max_message_bytes=published),
        topic(names.counts, "count deltas, one a commit and channel", max_message_bytes=published),
        topic(names.signals, "distress of each message, for the rules", max_message_bytes=published),
        topic(names.dlq, "messages not labelled, and why", max_message_bytes=published),
        topic(names.counters, "windowed counters, upserted", cleanup_policy=compacted),
        topic(names.alerts, "alerts and their life", cleanup_policy=compacted),
        topic(names.undelivered, "alerts that a receiver would not take"),
        topic(names.reviews, "what reviewers said of alerts", retention_ms=365 * DAY_MS),
        topic(names.optout, "people who opted out", cleanup_policy="compact", retention_ms=-1),
    )


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that everything of one key meets in; the same in every process that writes the topic."""
    return zlib.crc32(key) % partitions
