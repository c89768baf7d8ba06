"""Finished messages to the records of one commit. Pure.

    entries ─► emotions, dead letters   in the partition of the message
               signals, count deltas    by author, by channel

An output shares the partition number of its input, so the messages of one key stay in order. Signals and
count deltas go by the hash of their key instead: all of an author, all of a channel must meet in one place.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, get_args

from model.contract import DistressLevel, Emotion, ModelInfo
from stream.annotate.ledger import Entry, Silent, Unread
from stream.codec import JSON_VALUES, CloudEventHeaders, Envelope, ValueFormat, rfc3339, to_json, utc
from stream.deadletters import dead_letter_record
from stream.errors import Cause, MessageError
from stream.events import ALL_CHANNELS, NO_CHANNEL, DeadLetter, Source
from stream.ids import delta_id, event_id
from stream.limits import OutputLimits
from stream.privacy import OptOut
from stream.records import Output, Record, UnreadBatch, size_bytes
from stream.topics import TopicNames, partition_of
from stream.tracecontext import trace_headers

_DELTA_BYTES: Final = 1536
"""Room for all that a count delta of one window holds beside the name of its channel."""

_LEVELS: tuple[str, ...] = get_args(DistressLevel)


@dataclass(frozen=True, slots=True)
class OutcomePolicy:
    """What is published, and where. ``partitions`` holds the number of partitions of each output topic.

    ``model`` is the one in force at first; each entry says which one read it.
    """

    topics: TopicNames
    partitions: Mapping[str, int]
    model: ModelInfo
    include_text: bool
    count_window_s: int
    signal_min_level: str
    optout: OptOut | None = None
    """Asked once more: of who opts out while their message is in work, nothing is published either."""


@dataclass(slots=True)
class _Cell:
    """Counts of one channel in one window."""

    labels: dict[str, int] = field(default_factory=dict)
    confidence_sum: float = 0.0
    unknown: int = 0
    opted_out: int = 0
    dead_lettered: int = 0
    tombstones: int = 0

    def add(self, outcome: Emotion | Unread) -> None:
        if isinstance(outcome, Unread):
            self.unknown += 1
        else:
            self.labels[outcome.label] = self.labels.get(outcome.label, 0) + 1
            self.confidence_sum += outcome.confidence

    def add_cell(self, other: "_Cell") -> None:
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        self.confidence_sum += other.confidence_sum
        self.unknown += other.unknown

    def as_json(self, start_ms: int) -> dict[str, Any]:
        return {
            "start": utc(start_ms),
            "labels": self.labels,
            "confidence_sum": round(self.confidence_sum, 6),
            "unknown": self.unknown,
            "opted_out": self.opted_out,
            "dead_lettered": self.dead_lettered,
            "tombstones": self.tombstones,
        }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _counted_as(channel: str | None) -> str:
    """The channel's name in the counts; a message may not count itself into the total."""
    return NO_CHANNEL if channel is None or channel == ALL_CHANNELS else channel


def _delta_bytes(channel: str | None) -> int:
    """Most that the count of one message can have: its channel stands in key, header, id and value, where a
    character has six bytes at most.
    """
    return 4 * 6 * len(_counted_as(channel)) + _DELTA_BYTES


def _said(outcome: Emotion | Unread) -> dict[str, Any]:
    """What event and signal say alike."""
    if isinstance(outcome, Unread):
        return {"label": outcome.value, "confidence": 0.0, "distress": None}
    reading = outcome.distress
    return {
        "label": outcome.label,
        "confidence": outcome.confidence,
        "distress": {"score": reading.score, "level": reading.level},
    }


def _detailed(outcome: Emotion | Unread) -> dict[str, Any]:
    """What the event says besides."""
    if isinstance(outcome, Unread):
        return {"labels": (), "scores": None, "neutral": None, "windows": 0}
    return {
        "labels": outcome.labels,
        "scores": outcome.scores,
        "neutral": outcome.neutral,
        "windows": outcome.windows,
    }


def _covers(optout: OptOut, entry: Entry) -> bool:
    return optout.covers(entry.message.author if entry.message else None, entry.key)


def _reference(model: ModelInfo) -> dict[str, str]:
    """What an event says of its model."""
    return {"name": model.name, "revision": model.revision}


@dataclass(frozen=True, slots=True)
class _Commit:
    """What is encoded together: messages of one partition, read by one model."""

    partition: int
    at: datetime
    at_ms: int
    model: dict[str, str]
    output: Output


class OutcomeEncoder:
    """Makes the records of a commit, for the messages of one input topic.

    ``epoch`` tells the topic from others that had its name (``stream.ids``).
    """

    def __init__(
        self,
        policy: OutcomePolicy,
        topic: str,
        epoch: str | None = None,
        limits: OutputLimits | None = None,
        events: ValueFormat = JSON_VALUES,
    ) -> None:
        self._policy, self._topics = policy, policy.topics
        self._events = events
        self._limits = limits or OutputLimits()
        self._topic, self._epoch = topic, epoch
        self._source = f"/emotion-stream/{topic}"
        self._emotion_headers = CloudEventHeaders("EmotionEvent", self._source, events)
        self._signal_headers = CloudEventHeaders("DistressSignal", self._source)
        self._delta_headers = CloudEventHeaders("CountDelta", self._source)
        self.model = policy.model
        """Whose revision count deltas bear when the model read nothing of what they count."""
        self._told_epoch = {"epoch": epoch} if epoch else {}
        self._signal_levels = frozenset(_LEVELS[_LEVELS.index(policy.signal_min_level) :])

    def encode(self, partition: int, entries: Sequence[Entry], now: datetime) -> Output:
        """Records of finished entries of one partition, in the order of their offsets, read by one model.

        Their time stamps are ``now``, since retention counts from there: what was written long ago is kept
        as long as anything else. An entry whose event its topic has no room for becomes a dead letter.
        """
        model = _reference(next((entry.model for entry in entries if entry.model is not None), self.model))
        commit = _Commit(partition, now, _ms(now), model, defaultdict(list))
        totals: dict[int, _Cell] = defaultdict(_Cell)  # what belongs to no channel; then all
        channels: dict[tuple[str, int], _Cell] = defaultdict(_Cell)
        window_ms = self._policy.count_window_s * 1000
        optout = self._policy.optout or None  # mostly nobody is in it, and every message would ask
        for entry in entries:
            outcome = entry.outcome
            if optout is not None and not isinstance(outcome, Silent) and _covers(optout, entry):
                entry.outcome = outcome = Silent.OPTED_OUT
            start_ms = entry.event_ms - entry.event_ms % window_ms
            if isinstance(outcome, Emotion | Unread) and (refused := self._add_event(commit, entry, outcome)):
                entry.outcome = outcome = refused
            if isinstance(outcome, Emotion | Unread):
                assert entry.message is not None
                channels[_counted_as(entry.message.channel), start_ms].add(outcome)
                continue
            # Whom these belong to is not known or not to be said, so only the total has them.
            cell = totals[start_ms]
            if isinstance(outcome, MessageError):
                self._add_dead_letter(commit, entry, outcome)
                cell.dead_lettered += 1
            elif outcome is Silent.OPTED_OUT:
                cell.opted_out += 1
            else:
                cell.tombstones += 1
        for (_, start_ms), cell in channels.items():
            totals[start_ms].add_cell(cell)
        channels.update(((ALL_CHANNELS, start_ms), cell) for start_ms, cell in totals.items())
        self._add_deltas(commit, entries, channels)
        return commit.output

    def fits(self, output: Output) -> bool:
        """Whether the count deltas are small enough for their topic; all else is made to fit one by one."""
        topic = self._topics.counts
        limit = self._limits.of(topic)
        return all(
            size_bytes(record) <= limit
            for (name, _), records in output.items()
            if name == topic
            for record in records
        )

    def _add_event(self, commit: _Commit, entry: Entry, outcome: Emotion | Unread) -> MessageError | None:
        """Add the event, and the signal if there is one; or neither, and say what stands against it."""
        message = entry.message
        assert message is not None
        written = utc(entry.event_ms)
        shared = {
            "id": event_id(self._topic, commit.partition, entry.offset, self._epoch),
            **_said(outcome),
            "message_id": message.id,
            "author": entry.author,
            "channel": message.channel,
            "conversation": message.conversation,
            "ts": written,
            "model": commit.model,
            "source": {
                "topic": self._topic,
                "partition": commit.partition,
                "offset": entry.offset,
                **self._told_epoch,
            },
        }
        if entry.wrong_clock is not None:
            shared["ts_replaced"] = entry.wrong_clock
        if self._policy.include_text:
            shared["text"] = message.text
        passed = trace_headers(entry.headers, never=entry.names) if entry.headers else ()
        envelope = Envelope(shared["id"], rfc3339(written), commit.at_ms, entry.offset, passed)
        event = {
            **shared,
            **_detailed(outcome),
            "language": entry.language.tag,
            "language_confidence": entry.language.confidence,
            "labelled_at": commit.at,
        }
        value, topic = self._events.write(event), self._topics.emotions
        records = [
            (
                (topic, commit.partition % self._policy.partitions[topic]),
                self._emotion_headers.record(entry.published_key, value, envelope),
            )
        ]
        if self._is_signal(entry, outcome):
            records.append(self._signal(commit.partition, entry, shared, envelope))
        for (topic, _), record in records:
            if (size := size_bytes(record)) > self._limits.of(topic):
                return MessageError(
                    Cause.TOO_LARGE,
                    f"its outcome has {size} bytes, topic {topic} takes {self._limits.of(topic)}",
                )
        counts = self._topics.counts
        if (size := _delta_bytes(message.channel)) > self._limits.of(counts):
            return MessageError(
                Cause.TOO_LARGE,
                f"its count may have {size} bytes, topic {counts} takes {self._limits.of(counts)}",
            )
        for place, record in records:
            commit.output[place].append(record)
        return None

    def _is_signal(self, entry: Entry, outcome: Emotion | Unread) -> bool:
        if entry.phrases:
            return True
        if isinstance(outcome, Unread):
            return False
        return entry.author is not None and outcome.distress.level in self._signal_levels

    def _signal(
        self, partition: int, entry: Entry, shared: dict[str, Any], envelope: Envelope
    ) -> tuple[tuple[str, int], Record]:
        topic = self._topics.signals
        key = entry.author.encode() if entry.author else None
        partitions = self._policy.partitions[topic]
        place = partition % partitions if key is None else partition_of(key, partitions)
        reading = shared["distress"] or {"score": 0.0, "level": _LEVELS[0]}
        value = to_json({**shared, "distress": reading, "phrases": entry.phrases})
        return (topic, place), self._signal_headers.record(key, value, envelope)

    def _add_dead_letter(self, commit: _Commit, entry: Entry, error: MessageError) -> None:
        topic, partition = self._topics.dlq, commit.partition
        letter = DeadLetter(
            id=event_id(self._topic, partition, entry.offset, self._epoch),
            cause=error.cause,
            error=error.detail,
            source=Source(topic=self._topic, partition=partition, offset=entry.offset, epoch=self._epoch),
            failed_at=commit.at,
            timestamp_ms=entry.original_ms,
            first_offset=entry.value.first_offset if isinstance(entry.value, UnreadBatch) else None,
        )
        record = dead_letter_record(
            letter,
            entry.key,
            entry.value,
            entry.headers,
            source=self._source,
            max_bytes=self._limits.of(topic),
            at_ms=commit.at_ms,
        )
        commit.output[topic, partition % self._policy.partitions[topic]].append(
            record._replace(offset=entry.offset)
        )

    def _add_deltas(
        self, commit: _Commit, entries: Sequence[Entry], cells: Mapping[tuple[str, int], _Cell]
    ) -> None:
        by_channel: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for (channel, start_ms), cell in sorted(cells.items()):
            by_channel[channel].append(cell.as_json(start_ms))
        topic, partition = self._topics.counts, commit.partition
        time = rfc3339(commit.at)
        first, last = entries[0].offset, entries[-1].offset
        for channel, windows in by_channel.items():
            identity = delta_id(self._topic, partition, first, last, channel, self._epoch)
            delta = {
                "id": identity,
                "channel": channel,
                "source": {
                    "topic": self._topic,
                    "partition": partition,
                    "first_offset": first,
                    "last_offset": last,
                    **self._told_epoch,
                },
                "windows": windows,
                "model": commit.model,
            }
            key = channel.encode()
            commit.output[topic, partition_of(key, self._policy.partitions[topic])].append(
                self._delta_headers.record(key, to_json(delta), Envelope(identity, time, commit.at_ms, last))
            )
