"""``emotion-stream tail``: committed records alone, as JSON lines or for people, until told to stop."""

import asyncio
import json
import signal
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console

from stream.cloudevents import to_json
from stream.commands.lines import LINES, deleted, fields
from stream.deadletters import encode_dead_letter
from stream.events import CountDelta, DeadLetter, DistressSignal, EmotionEvent
from stream.monitor.events import Alert, Review, WindowCounter
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import CODECS, Record, produce
from tests.stream.commands import run_beside, start

SOURCE = {"topic": "messages", "partition": 1, "offset": 7}
WHEN = datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "id": "messages-1-7",
    "label": "fear",
    "confidence": 0.91,
    "scores": dict.fromkeys(("sadness", "joy", "love", "anger", "surprise"), 0.01) | {"fear": 0.91},
    "neutral": 0.04,
    "distress": {"score": 0.8, "level": "elevated"},
    "author": "9f2c1ab4d7e85f60",
    "channel": "support",
    "ts": WHEN,
    "labelled_at": WHEN,
    "model": {"name": "fake", "revision": "0"},
    "source": SOURCE,
    "windows": 1,
}
DEAD = DeadLetter(
    id="messages-1-7", cause="not_json", error="the value is not JSON", source=SOURCE, failed_at=WHEN
)


def line_for(name: str, event: dict[str, Any]) -> str:
    """What a person sees, without colours."""
    console = Console(width=200, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(LINES[name](event))
    return " ".join(capture.get().split())


async def dead_letters(settings: Settings, *values: bytes) -> None:
    headers = encode_dead_letter(DEAD, [("traceparent", b"00-1")], "/test")
    await produce(
        settings.bootstrap_servers or "",
        settings.topics.dlq,
        [Record(value, b"ann", headers) for value in values],
    )


@pytest.mark.every_broker
async def test_off_a_terminal_each_record_is_a_line_of_json(topics: Topics) -> None:
    settings = await topics()
    events = [EmotionEvent(**EVENT | {"id": f"messages-1-{n}"}) for n in range(5)]
    await produce(
        settings.bootstrap_servers or "", settings.topics.emotions, [to_json(e.model_dump()) for e in events]
    )
    result = await run_beside("tail", "emotions", "--from-beginning", "--to-end", settings=settings)
    assert result.exit_code == 0, result.stderr
    printed = [EmotionEvent.model_validate_json(line) for line in result.stdout.splitlines()]
    assert sorted(printed, key=lambda event: event.id) == events


async def test_it_stops_after_n_records(topics: Topics) -> None:
    settings = await topics()
    await produce(settings.bootstrap_servers or "", settings.topics.counts, [b"{}"] * 10)
    result = await run_beside("tail", "counts", "--from-beginning", "-n", "3", settings=settings)
    assert result.stdout.splitlines() == ["{}"] * 3


async def test_what_a_transaction_aborted_is_never_shown(topics: Topics) -> None:
    settings = await topics()
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id=settings.group_id
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(settings.topics.emotions, b'{"aborted": true}')
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(settings.topics.emotions, b'{"aborted": false}')
    result = await run_beside("tail", "emotions", "--from-beginning", "--to-end", settings=settings)
    assert result.stdout == '{"aborted":false}\n'


async def test_without_from_beginning_it_shows_what_comes_and_ends_quietly_on_an_interrupt(
    topics: Topics,
) -> None:
    settings = await topics(partitions=1)
    servers, topic = settings.bootstrap_servers or "", settings.topics.alerts
    await produce(servers, topic, [Record(b'{"old": 1}', b"a")])
    with start("tail", "alerts", settings=settings) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Until it has found the end, records pass it by.
        reading = asyncio.create_task(asyncio.to_thread(process.stdout.readline))
        while not reading.done():
            await produce(servers, topic, [Record(b'{"new": 1}', b"a")])
            await asyncio.sleep(0.1)
        assert reading.result() == '{"new":1}\n'
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""


@pytest.mark.parametrize("records", [1, 20_000], ids=["on a quiet topic too", "amid records"])
async def test_it_ends_quietly_when_its_reader_has_gone(records: int, topics: Topics) -> None:
    settings = await topics(partitions=1)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts
    await produce(servers, topic, [b'{"n": %d}' % n for n in range(records)])
    with start("tail", "counts", "--from-beginning", settings=settings) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == '{"n":0}\n'
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == ""


async def test_batches_of_every_codec_are_shown(topics: Topics) -> None:
    settings = await topics(partitions=1)
    for codec in CODECS:
        value = orjson.dumps({"label": "joy", "text": "the same words, " * 9, "codec": codec})
        await produce(settings.bootstrap_servers or "", settings.topics.emotions, [value], codec=codec)
    result = await run_beside("tail", "emotions", "--from-beginning", "--to-end", settings=settings)
    assert {json.loads(line)["codec"] for line in result.stdout.splitlines()} == set(CODECS)


async def test_a_number_that_no_machine_holds_and_a_deep_value_are_shown(topics: Topics) -> None:
    settings = await topics(partitions=1)
    values = [b'{"confidence": "high", "n": %d}' % 10**40, b"[" * 600 + b"]" * 600]
    await produce(settings.bootstrap_servers or "", settings.topics.emotions, values)
    result = await run_beside("tail", "emotions", "--from-beginning", "--to-end", settings=settings)
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["n"], second["not_json"]) == (10**40, True)


async def test_a_tombstone_and_a_value_of_somebody_else_are_shown_as_such(topics: Topics) -> None:
    settings = await topics(partitions=1)
    records = [Record(None, b"alert-1"), Record(b"plain", b"k"), Record(b"[1]", b"k")]
    await produce(settings.bootstrap_servers or "", settings.topics.alerts, records)
    result = await run_beside("tail", "alerts", "--from-beginning", "--to-end", settings=settings)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0] == {"key": "alert-1", "deleted": True}
    assert [line["not_json"] for line in lines[1:]] == [True, True]


async def test_dead_letters_show_why_they_failed_and_their_content_only_when_asked(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await dead_letters(settings, b"I am so alone", b"\xff\xfe")
    arguments = ("tail", "dlq", "--from-beginning", "--to-end")
    without = await run_beside(*arguments, settings=settings)
    assert "alone" not in without.stdout
    first, second = map(json.loads, without.stdout.splitlines())
    assert (first["cause"], first["source"], first["bytes"], first["offset"]) == ("not_json", SOURCE, 13, 0)
    with_value = await run_beside(*arguments, "--show-value", settings=settings)
    first, second = map(json.loads, with_value.stdout.splitlines())
    assert first["value"] == "I am so alone"
    assert first["headers"] == {"traceparent": "00-1"}
    assert second["value_base64"] == "//4="


async def test_a_record_that_is_no_dead_letter_does_not_end_the_tail(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await produce(settings.bootstrap_servers or "", settings.topics.dlq, [b"by hand"])
    result = await run_beside("tail", "dlq", "--from-beginning", "--to-end", settings=settings)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["error"].startswith("not a dead letter")


def test_an_event_is_one_line_for_people() -> None:
    event = EmotionEvent(**EVENT).model_dump(mode="json")
    assert line_for("emotions", event) == "10:20:30 fear 0.91 elevated support 9f2c1ab4 messages/1@7"
    assert line_for("emotions", event | {"text": "[bold]no markup"}).endswith("[bold]no markup")


@pytest.mark.parametrize("name", LINES)
def test_nothing_in_a_record_reaches_the_terminal_as_a_control_code(name: str) -> None:
    """Such as a window title, or OSC 52, which writes the clipboard."""
    escape = "\x1b]52;c;aGk=\x07\x9b2J\u202e"
    texts = ("channel", "text", "author", "rule", "summary", "note", "reviewer", "alert_id", "error", "value")
    event = dict.fromkeys(texts, escape) | {"ts": escape, "source": {"topic": escape}, escape: escape}
    for shown in (LINES[name](event), fields(event), deleted({"key": escape})):
        assert shown.plain.isprintable()


def test_signals_counts_and_dead_letters_are_one_line_for_people() -> None:
    known = {name: EVENT[name] for name in EVENT if name in DistressSignal.model_fields}
    signal_line = line_for("signals", DistressSignal(**known, phrases=("refund",)).model_dump(mode="json"))
    assert signal_line == "10:20:30 fear 0.91 elevated support 9f2c1ab4 phrase:refund messages/1@7"
    window = {"start": WHEN, "labels": {"joy": 3, "fear": 1}, "confidence_sum": 3.5, "opted_out": 2}
    delta = CountDelta(
        id="d",
        channel="support",
        source={"topic": "messages", "partition": 1, "first_offset": 5, "last_offset": 10},
        windows=(window,),
    )
    counts_line = line_for("counts", delta.model_dump(mode="json"))
    assert counts_line == "support messages/1 5-10 10:20:30 joy 3 fear 1 opted_out 2"
    dead = DEAD.model_dump(mode="json") | {"bytes": 13}
    assert line_for("dlq", dead) == "10:20:30 not_json messages/1@7 13 bytes the value is not JSON"


def test_what_the_monitor_publishes_is_one_line_for_people() -> None:
    counter = WindowCounter(
        channel="support",
        window_s=60,
        start=WHEN,
        end=WHEN,
        messages=4,
        labels={"joy": 3, "fear": 1},
        mean_confidence=0.9,
        opted_out=0,
        dead_lettered=1,
        tombstones=0,
    )
    counters_line = line_for("counters", counter.model_dump(mode="json"))
    assert counters_line == "support 10:20:30 60 s 4 messages joy 3 fear 1 dead_lettered 1"
    alert = {"severity": "warning", "status": "firing", "rule": "sustained", "author": "9f2c1ab4d7e85f60"}
    alert |= {"updated_at": WHEN.isoformat(), "summary": "distress above the usual"}
    assert set(alert) <= set(Alert.model_fields)
    assert (
        line_for("alerts", alert)
        == "10:20:30 warning firing sustained 9f2c1ab4d7e85f60 distress above the usual"
    )
    review = Review(id="r", alert_id="a-1", rule="sustained", verdict="confirmed", reviewer="bo", at=WHEN)
    assert line_for("reviews", review.model_dump(mode="json")) == "10:20:30 confirmed a-1 by bo"


@pytest.mark.parametrize("name", list(LINES))
def test_an_event_with_fields_missing_still_gives_a_line(name: str) -> None:
    assert isinstance(line_for(name, {}), str)
    assert isinstance(line_for(name, {"source": {}, "windows": [{}], "distress": {}}), str)


async def test_a_full_disk_is_not_taken_for_a_broken_cluster(topics: Topics, full_disk: int) -> None:
    settings = await topics()
    await dead_letters(settings, b"one")
    with start("tail", "dlq", "--from-beginning", settings=settings, stdout=full_disk) as process:
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr == "error: the output cannot be written (No space left on device)\n"
