"""Whatever comes in: one outcome a record, nothing raised, and nothing after it held up.

``make test`` tries some thousand cases; ``make fuzz CASES=200000`` as many as it is told.
"""

import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from model.fake import FakeClassifier
from stream.annotate import inference
from stream.annotate.admission import Admission
from stream.annotate.app import Annotator
from stream.annotate.ledger import Silent
from stream.annotate.outcomes import OutcomeEncoder, OutcomePolicy
from stream.annotate.times import EARLIEST_MS
from stream.cloudevents import to_json
from stream.commands.letters import Letter
from stream.commands.lines import LINES
from stream.commands.tail import _dead_letter, _event, _json_lines, _line
from stream.deadletters import decode_dead_letter
from stream.errors import Cause, InputFileError, MessageError
from stream.events import CountDelta, DistressSignal, EmotionEvent
from stream.limits import SMALLEST_BYTES, OutputLimits
from stream.mapping import MessageMapping, place_of
from stream.monitor.backtest import event_of
from stream.monitor.backtest import replay as backtest
from stream.monitor.counting import CountPolicy
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.partitions import Partitions
from stream.monitor.rulesfile import RulesFile
from stream.monitor.store import count_records, signal_records
from stream.privacy import OptOut, Pseudonyms
from stream.reading import Line, RefusedLine, read_lines
from stream.records import Record, size_bytes
from stream.settings import Settings
from stream.topics import TopicNames
from tests import hostile
from tests.conftest import Topics
from tests.hostile import HostileRecord, fuzzed
from tests.records import read_committed_all
from tests.stream.monitor.factories import NOON, delta, signal

pytestmark = pytest.mark.timeout(max(180, hostile.CASES // 5))

TOPICS = TopicNames(prefix="emotions")
NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
MODEL = FakeClassifier()
PSEUDONYMS = Pseudonyms(b"a key for tests")
LIMITS = OutputLimits(assumed=SMALLEST_BYTES)
POLICY = OutcomePolicy(
    topics=TOPICS,
    partitions=dict.fromkeys([TOPICS.emotions, TOPICS.counts, TOPICS.signals, TOPICS.dlq], 3),
    model=MODEL.info,
    include_text=True,
    count_window_s=60,
    signal_min_level="none",
)
MAPPING = MessageMapping(
    {"text": place_of("text"), "author": place_of("key:"), "channel": place_of("meta || ''")}
)


def admission(input_format: Any = "json", mapping: MessageMapping | None = None) -> Admission:
    return Admission(
        input_format=input_format,
        max_message_bytes=5000,
        max_ahead_s=300,
        pseudonyms=PSEUDONYMS,
        optout=OptOut(PSEUDONYMS),
        phrases=None,
        mapping=mapping,
        clock=lambda: NOW_MS / 1000,
    )


ADMISSIONS = (admission(), admission("text"), admission(mapping=MAPPING))


@fuzzed
@given(st.sampled_from(ADMISSIONS), st.lists(hostile.records, min_size=1, max_size=4))
def test_every_record_has_one_outcome(doorkeeper: Admission, found: list[HostileRecord]) -> None:
    entries = [doorkeeper.admit(record._replace(offset=number)) for number, record in enumerate(found)]
    for entry in entries:
        if entry.outcome is None:
            [encoded] = inference.tokenize(MODEL, [entry.text])
            assert not isinstance(encoded, MessageError)
            [entry.outcome] = inference.infer(MODEL, [encoded])
        assert not (isinstance(entry.outcome, MessageError) and entry.outcome.cause is Cause.UNREADABLE)
    output = OutcomeEncoder(POLICY, "messages", limits=LIMITS).encode(0, entries, NOW)

    seen: Counter[int] = Counter()
    totals: Counter[str] = Counter()
    for (topic, _), records in output.items():
        for record in records:
            assert record.timestamp_ms == NOW_MS
            assert size_bytes(record) <= LIMITS.of(topic)
            if topic == TOPICS.emotions:
                event = EmotionEvent.model_validate_json(record.value or b"")
                assert EARLIEST_MS <= event.ts.timestamp() * 1000 <= NOW_MS + 600_000
                seen[event.source.offset] += 1
            elif topic == TOPICS.dlq:
                letter, _ = decode_dead_letter(record.headers)
                seen[letter.source.offset] += 1
                _goes_back_as_it_was(found[letter.source.offset], record)
            elif topic == TOPICS.signals:
                DistressSignal.model_validate_json(record.value or b"")
            else:
                _add_total(CountDelta.model_validate_json(record.value or b""), totals)
    seen.update(entry.offset for entry in entries if isinstance(entry.outcome, Silent))
    assert seen == Counter(range(len(found)))
    assert totals["all"] == len(found)


def _add_total(delta: CountDelta, totals: Counter[str]) -> None:
    for window in delta.windows:
        assert datetime(1990, 1, 1, tzinfo=UTC) <= window.start <= NOW + timedelta(minutes=10)
    _add_counts(delta, totals)


def _add_counts(delta: CountDelta, totals: Counter[str]) -> None:
    if delta.channel == "*":
        for window in delta.windows:
            counts = (*window.labels.values(), window.opted_out, window.dead_lettered, window.tombstones)
            totals["all"] += sum(counts)


def _goes_back_as_it_was(original: HostileRecord, dead: Record) -> None:
    """What ``replay`` would send is what was received, with the replay counted."""
    consumed = SimpleNamespace(
        topic=TOPICS.dlq, partition=0, offset=0, timestamp=NOW_MS, key=dead.key, value=dead.value,
        headers=dead.headers,
    )  # fmt: skip
    letter = Letter.of(consumed)
    if letter.told.cut:
        return
    message = letter.message(NOW_MS)
    assert (message.key, message.value) == (original.key, original.value)
    kept = [header for header in original.headers if header[0] not in ("dlq_replays", "dlq_timestamp")]
    assert list(message.headers[:-2]) == kept
    assert [name for name, _ in message.headers[-2:]] == ["dlq_replays", "dlq_timestamp"]


@fuzzed
@given(st.lists(hostile.values, max_size=5), st.sampled_from(["jsonl", "csv", "text"]))
def test_every_line_of_a_file_is_a_message_or_refused(found: list[bytes], file_format: Any) -> None:
    content = b"\n".join(found)
    content = b"text,author,ts,meta\n" + content if file_format == "csv" else content
    for line in read_lines(io.BytesIO(content), file_format, max_bytes=5000):
        assert isinstance(line, Line | RefusedLine)
        if isinstance(line, Line):
            batch = MODEL.tokenize([line.message.text])
            [emotion] = MODEL.decide(batch, MODEL.forward(batch))
            orjson.dumps({"text": line.message.text, "id": line.message.id, "label": emotion.label})


@fuzzed
@given(hostile.records)
def test_every_record_of_the_dead_letters_is_a_letter_or_refused(record: HostileRecord) -> None:
    try:
        letter = Letter.of(record)
    except ValueError:
        return
    assert letter.message(NOW_MS).value == record.value


@fuzzed
@given(hostile.records, st.sampled_from(sorted(LINES)))
def test_every_record_can_be_shown(record: HostileRecord, topic: str) -> None:
    shown = _dead_letter(True)(record) if topic == "dlq" else _event(record)
    _json_lines(shown)
    _line(LINES[topic], shown)


RULES = RulesFile(None, base_s=60).rules
SETTINGS = Settings()
METRICS = MonitorMetrics()


class NothingStored:
    """The state of a partition that is new."""

    def get(self, _: bytes) -> None:
        return None

    def items(self, *_: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def monitored() -> Partitions:
    """One partition of the counts and one of the signals, with the shipped rules and nothing stored."""
    partitions, state = Partitions(SETTINGS, METRICS, RULES), cast(Any, NothingStored())
    for topic in (TOPICS.counts, TOPICS.signals):
        partitions.load(TP(topic, 0), state, None)
    partitions._delta_at[0] = 0.0
    return partitions


def consumed(topic: str, offset: int, value: bytes | None, key: bytes | None, timestamp: int) -> Any:
    """As Faust hands over a record; its time stamp is in seconds."""
    message = SimpleNamespace(
        topic=topic, partition=0, offset=offset, key=key, value=value, timestamp=timestamp / 1000
    )
    return SimpleNamespace(message=message)


RIGHT_DELTA = orjson.loads(delta({NOON: {"joy": 3, "fear": 1}, NOON + 60: {"anger": 1}}).model_dump_json())
RIGHT_SIGNAL = orjson.loads(signal(phrases=["urgent"]).model_dump_json())


@fuzzed
@given(
    st.lists(hostile.changed(RIGHT_DELTA) | hostile.values, min_size=1, max_size=4),
    hostile.keys,
    hostile.timestamps,
)
def test_every_record_of_the_counts_is_counted_or_passed_over(
    values: list[bytes], key: bytes | None, timestamp: int
) -> None:
    partitions = monitored()
    for offset, value in enumerate(values):
        partitions.take_delta(consumed(TOPICS.counts, offset, value, key, timestamp))
    _goes_on(partitions)
    assert partitions.counts[0].checkpoint.offset == len(values) - 1


@fuzzed
@given(
    st.lists(st.none() | hostile.changed(RIGHT_SIGNAL) | hostile.values, min_size=1, max_size=4),
    hostile.keys,
    hostile.timestamps,
)
def test_every_record_of_the_signals_is_read_or_passed_over(
    values: list[bytes | None], key: bytes | None, timestamp: int
) -> None:
    partitions = monitored()
    for offset, value in enumerate(values):
        partitions.take_signal(consumed(TOPICS.signals, offset, value, key, timestamp))
    _goes_on(partitions)
    assert partitions.signals[0].offset == len(values) - 1


def _goes_on(partitions: Partitions) -> None:
    """What follows from the records can be judged, stored and published."""
    partitions.tick([], NOW.timestamp(), lambda *_: NOW.timestamp())
    counts, signals = partitions.counts[0].take_changes(), partitions.signals[0].take_changes()
    for published in (*counts.alerts, *signals.alerts, *counts.counters):
        to_json(published.model_dump())
    count_records(0, counts, NOW_MS)
    signal_records(signals, NOW_MS)


@fuzzed
@given(st.lists(hostile.changed(RIGHT_SIGNAL) | hostile.values, max_size=4))
def test_every_recorded_event_is_tried_or_refused(values: list[bytes]) -> None:
    found = []
    for value in values:
        try:
            found.append(event_of(value, "line 1"))
        except InputFileError:
            continue
    backtest(RULES, found, CountPolicy())


async def test_generated_records_on_a_broker_have_one_outcome_each(configured: Topics) -> None:
    """A few hundred, in batches of every codec, on Apache Kafka."""
    settings = await configured(
        {"max_message_bytes": 5000}, messages={"message.timestamp.after.max.ms": 2**63 - 1}
    )
    records = hostile.generated(500)
    tombstones = 0
    for number, codec in enumerate([None, "gzip", "snappy", "lz4", "zstd"]):
        async with AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers, compression_type=codec, linger_ms=50
        ) as producer:
            for record in records[number::5]:
                key = b"k" if record.value is None else record.key
                tombstones += record.value is None
                await producer.send(
                    settings.input_topic,
                    record.value,
                    key=key,
                    partition=0,
                    headers=list(record.headers),
                    timestamp_ms=max(0, record.timestamp),
                )
    annotator = Annotator(settings.model_copy(update={"drain": True}), FakeClassifier())
    await annotator.run()
    servers = str(settings.bootstrap_servers)
    labelled = await read_committed_all(servers, settings.topics.emotions)
    dead = await read_committed_all(servers, settings.topics.dlq)
    seen = [EmotionEvent.model_validate_json(record.value or b"").source.offset for record in labelled]
    seen += [decode_dead_letter(record.headers)[0].source.offset for record in dead]
    assert len(seen) == len(set(seen)) == len(records) - tombstones
    assert min(len(labelled), len(dead), tombstones) > 3, "too few of a kind to show anything"
    totals: Counter[str] = Counter()
    for record in await read_committed_all(servers, settings.topics.counts):
        _add_counts(CountDelta.model_validate_json(record.value or b""), totals)
    assert totals["all"] == len(records)
