"""Finished messages to the records of one commit. Pure.

    entries ─► emotions, dead letters   in the partition of the message
               signals, count deltas    by author, by channel

An output shares the partition number of its input, so the messages of one key stay in order. Signals and
count deltas go by the hash of their key instead: all of an author, all of a channel must meet in one place.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args

from model.contract import DistressLevel, Emotion, ModelInfo
from stream.annotate.counts import Counts, most_delta_bytes
from stream.annotate.ledger import Entry, Silent, Unread
from stream.annotate.whose import is_of_who_opted_out
from stream.cloudevents import (
    JSON_VALUES,
    CloudEventHeaders,
    Envelope,
    ValueFormat,
    rfc3339,
    to_json,
    written_at,
)
from stream.deadletters import dead_letter_record
from stream.errors import Cause, MessageError
from stream.events import DeadLetter, Message, Source
from stream.ids import delta_id, event_id
from stream.limits import OutputLimits
from stream.privacy import OptOut
from stream.records import Output, Record, UnreadBatch, size_bytes
from stream.topics import TopicNames, partition_of
from stream.tracecontext import trace_headers

_LEVELS: tuple[str, ...] = get_args(DistressLevel)
_NOTHING_READ: Final = {
    "label": None,
    "confidence": 0.0,
    "distress": None,
    "labels": (),
    "scores": None,
    "neutral": None,
    "windows": 0,
}
_IN_NO_SIGNAL: Final = frozenset(
    ("labels", "scores", "neutral", "windows", "language", "language_confidence", "labelled_at")
)
"""Fields of an event that its signal leaves out."""


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


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _reading(outcome: Emotion | Unread) -> dict[str, Any]:
    """What was read of the message, as its event says it."""
    if isinstance(outcome, Unread):
        return _NOTHING_READ | {"label": outcome.value}
    distress = outcome.distress
    return {
        "label": outcome.label,
        "confidence": outcome.confidence,
        "distress": {"score": distress.score, "level": distress.level},
        "labels": outcome.labels,
        "scores": outcome.scores,
        "neutral": outcome.neutral,
        "windows": outcome.windows,
    }


@dataclass(frozen=True, slots=True)
class _Commit:
    """What is encoded together: messages of one partition, read by one model.

    ``place`` is where their events go. ``largest_*``: bytes that the topics take, as it was when it began.
    """

    partition: int
    at: datetime
    at_ms: int
    model: dict[str, str]
    output: Output
    place: tuple[str, int]
    largest_event: int
    largest_signal: int
    largest_delta: int


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
        commit = self._begin(partition, entries, now)
        counts = Counts(self._policy.count_window_s * 1000)
        optout = self._policy.optout or None  # mostly nobody is in it, and every message would ask
        for entry in entries:
            outcome = entry.outcome
            if optout is not None and not isinstance(outcome, Silent) and is_of_who_opted_out(optout, entry):
                entry.outcome = outcome = Silent.OPTED_OUT
            if isinstance(outcome, (Emotion, Unread)):
                message = entry.message
                assert message is not None
                if (refused := self._add_event(commit, entry, message, outcome)) is None:
                    counts.add(message.channel, entry.event_ms, outcome)
                    continue
                entry.outcome = outcome = refused
            if isinstance(outcome, MessageError):
                self._add_dead_letter(commit, entry, outcome)
            assert isinstance(outcome, MessageError | Silent)
            counts.add_unpublished(entry.event_ms, outcome)
        self._add_deltas(commit, entries, counts)
        return commit.output

    def _begin(self, partition: int, entries: Sequence[Entry], now: datetime) -> _Commit:
        model = next((entry.model for entry in entries if entry.model is not None), self.model)
        topics, limits = self._topics, self._limits
        return _Commit(
            partition=partition,
            at=now,
            at_ms=_ms(now),
            model={"name": model.name, "revision": model.revision},
            output=defaultdict(list),
            place=(topics.emotions, partition % self._policy.partitions[topics.emotions]),
            largest_event=limits.of(topics.emotions),
            largest_signal=limits.of(topics.signals),
            largest_delta=limits.of(topics.counts),
        )

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

    def _add_event(
        self, commit: _Commit, entry: Entry, message: Message, outcome: Emotion | Unread
    ) -> MessageError | None:
        """Add the event, and the signal if there is one; or neither, and say what stands against it."""
        written, time = written_at(entry.event_ms)
        identity = event_id(self._topic, commit.partition, entry.offset, self._epoch)
        event = {
            "id": identity,
            **_reading(outcome),
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
            "language": entry.language.tag,
            "language_confidence": entry.language.confidence,
            "labelled_at": commit.at,
        }
        if entry.wrong_clock is not None:
            event["ts_replaced"] = entry.wrong_clock
        if self._policy.include_text:
            event["text"] = message.text
        passed = trace_headers(entry.headers, never=entry.names) if entry.headers else ()
        envelope = Envelope(identity, time, commit.at_ms, entry.offset, passed)
        record = self._emotion_headers.record(entry.published_key, self._events.write(event), envelope)
        if (size := size_bytes(record)) > commit.largest_event:
            return _no_room("outcome", size, self._topics.emotions, commit.largest_event)
        if (size := most_delta_bytes(message.channel)) > commit.largest_delta:
            return _no_room("count", size, self._topics.counts, commit.largest_delta)
        if self._is_signal(entry, outcome):
            place, signal = self._signal(commit.partition, entry, event, envelope)
            if (size := size_bytes(signal)) > commit.largest_signal:
                return _no_room("outcome", size, self._topics.signals, commit.largest_signal)
            commit.output[place].append(signal)
        commit.output[commit.place].append(record)
        return None

    def _is_signal(self, entry: Entry, outcome: Emotion | Unread) -> bool:
        if entry.phrases:
            return True
        if isinstance(outcome, Unread):
            return False
        return entry.author is not None and outcome.distress.level in self._signal_levels

    def _signal(
        self, partition: int, entry: Entry, event: dict[str, Any], envelope: Envelope
    ) -> tuple[tuple[str, int], Record]:
        topic = self._topics.signals
        key = entry.author.encode() if entry.author else None
        partitions = self._policy.partitions[topic]
        place = partition % partitions if key is None else partition_of(key, partitions)
        signal = {name: value for name, value in event.items() if name not in _IN_NO_SIGNAL}
        signal["distress"] = event["distress"] or {"score": 0.0, "level": _LEVELS[0]}
        signal["phrases"] = entry.phrases
        return (topic, place), self._signal_headers.record(key, to_json(signal), envelope)

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

    def _add_deltas(self, commit: _Commit, entries: Sequence[Entry], counts: Counts) -> None:
        topic, partition = self._topics.counts, commit.partition
        time = rfc3339(commit.at)
        first, last = entries[0].offset, entries[-1].offset
        for channel, windows in counts.by_channel():
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


def _no_room(what: str, size_bytes: int, topic: str, most_bytes: int) -> MessageError:
    return MessageError(
        Cause.TOO_LARGE, f"its {what} has {size_bytes} bytes, topic {topic} takes {most_bytes}"
    )
