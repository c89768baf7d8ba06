"""``emotion-stream produce``: every line is sent or named, and one person's messages keep their order."""

import asyncio
import itertools
import json
import signal
from collections import defaultdict
from subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import decode_message
from stream.commands.produce import CATCH_UP_S, Pace
from stream.settings import Settings
from tests.conftest import MakeSettings, Topics
from tests.records import read_committed_all
from tests.stream.commands import run, run_beside, start, write


async def texts_in(settings: Settings) -> list[str]:
    """Texts of all messages in the input topic, sorted."""
    assert settings.bootstrap_servers is not None
    records = await read_committed_all(settings.bootstrap_servers, settings.input_topic)
    return sorted(decode_message(record.value or b"", (), "json", 10**6).text for record in records)


async def test_json_lines_are_sent_as_they_stand_keyed_by_author(topics: Topics) -> None:
    settings = await topics()
    lines = [{"text": f"message {n}", "author": f"person {n % 7}", "n": n} for n in range(200)]
    write("messages.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    result = await run_beside("produce", "messages.jsonl", settings=settings)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"sent 200 messages to {settings.input_topic} in ")
    assert result.stderr == ""

    records = await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)
    by_author: dict[str, list[int]] = defaultdict(list)
    for record in records:
        message = json.loads(record.value or b"")
        assert (record.key or b"").decode() == message["author"]
        by_author[message["author"]].append(message["n"])
    assert by_author == {f"person {a}": [n for n in range(200) if n % 7 == a] for a in range(7)}


@pytest.mark.parametrize(
    ("key", "expected"), [("channel", b"support"), ("conversation", b"c-1"), ("id", b"17"), ("none", None)]
)
async def test_the_key_can_be_another_field_or_none(topics: Topics, key: str, expected: bytes | None) -> None:
    settings = await topics()
    write("one.csv", "text,author,channel,conversation,id\nhello,ann,support,c-1,17\n")
    assert (await run_beside("produce", "one.csv", "--key", key, settings=settings)).exit_code == 0
    (record,) = await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)
    assert record.key == expected


async def test_messages_that_were_sent_are_so_where_the_output_cannot_be_written(
    topics: Topics, full_disk: int
) -> None:
    settings = await topics()
    write("messages.jsonl", '{"text": "one"}\n{"text": "two"}\n')
    with start("produce", "messages.jsonl", settings=settings, stdout=full_disk) as process:
        _, stderr = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0
    assert stderr.startswith(f"sent 2 messages to {settings.input_topic} in ")
    assert len(stderr.splitlines()) == 1


async def test_refused_lines_are_named_and_the_others_sent(topics: Topics) -> None:
    settings = await topics()
    write("messages.jsonl", '{"text": "one"}\nnot json\n{"text": ""}\n{"text": "two"}\n')
    result = await run_beside("produce", "messages.jsonl", settings=settings)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["line 2: not JSON", "line 3: text is empty or only white space"]
    assert "sent 2 messages" in result.stdout
    assert "refused 2" in result.stdout
    assert await texts_in(settings) == ["one", "two"]


async def test_messages_up_to_the_limit_are_sent_and_larger_ones_refused(topics: Topics) -> None:
    settings = await topics()
    limit = settings.max_message_bytes
    fits = "x" * (limit - len('{"text":""}'))
    write("large.txt", f"{fits}\n{fits}x\n")
    result = await run_beside("produce", "large.txt", settings=settings)
    assert result.stderr == f"line 2: {limit + 1} bytes, max_message_bytes is {limit}\n"
    assert await texts_in(settings) == [fits]


async def test_bare_text_is_sent_where_the_annotator_reads_bare_text(topics: Topics) -> None:
    settings = await topics()
    write("messages.jsonl", '{"text": "hello", "author": "ann"}\n')
    await run_beside("produce", "messages.jsonl", "--input-format", "text", settings=settings)
    (record,) = await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)
    assert (record.key, record.value) == (b"ann", b"hello")


async def test_a_line_from_a_pipe_leaves_at_once_while_the_pipe_stays_open(topics: Topics) -> None:
    settings = await topics()
    with start("produce", "-", "--format", "text", settings=settings, stdin=PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("first\n")
        process.stdin.flush()
        while await texts_in(settings) != ["first"]:
            assert process.poll() is None
        process.stdin.write("second\n")
        process.stdin.close()
        assert process.wait(20) == 0
    assert await texts_in(settings) == ["first", "second"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_an_interrupt_says_what_was_sent(
    topics: Topics, number: signal.Signals, exit_code: int
) -> None:
    settings = await topics()
    with start("produce", "-", "--format", "text", settings=settings, stdin=PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("first\nsecond\n")
        process.stdin.flush()
        while len(await texts_in(settings)) < 2:
            assert process.poll() is None
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
        assert process.returncode == exit_code
    assert stdout.startswith("sent 2 messages")
    assert stderr == ""


@given(rate=st.floats(0.1, 1e5), delays_s=st.lists(st.floats(0, 3), min_size=2, max_size=50))
def test_no_stretch_of_time_has_more_messages_than_the_rate_allows(
    rate: float, delays_s: list[float]
) -> None:
    pace, now, sent_at = Pace(rate), 1000.0, list[float]()
    for delay_s in delays_s:
        now += pace.wait_s(now)
        sent_at.append(now)
        now += delay_s
    for first, last in itertools.combinations(range(len(sent_at)), 2):
        stretch_s = sent_at[last] - sent_at[first]
        assert last - first <= rate * (stretch_s + CATCH_UP_S) * (1 + 1e-6) + 1e-6


@given(rate=st.floats(0.1, 1e4))
def test_without_delays_the_rate_is_reached(rate: float) -> None:
    pace, now = Pace(rate), 1000.0
    for _ in range(101):
        now += pace.wait_s(now)
    assert now - 1000.0 == pytest.approx(100 / rate)


async def test_rate_is_kept_on_the_way_to_the_topic(topics: Topics) -> None:
    settings = await topics(partitions=1)
    write("messages.txt", "".join(f"message {n}\n" for n in range(11)))
    await run_beside("produce", "messages.txt", "--rate", "50", settings=settings)
    records = await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)
    assert len(records) == 11
    assert records[-1].timestamp - records[0].timestamp >= 1000 * (10 / 50 - CATCH_UP_S) - 1


def test_a_missing_topic_and_an_unknown_format_end_before_anything_is_sent(
    make_settings: MakeSettings,
) -> None:
    write("messages.txt", "hello\n")
    no_topic = run("produce", "messages.txt", settings=make_settings())
    assert no_topic.exit_code == 4
    assert "emotion-stream topics create" in no_topic.stderr
    write("messages.dat", "hello\n")
    no_format = run("produce", "messages.dat", settings=make_settings())
    assert no_format.exit_code == 2
    assert "add --format" in no_format.stderr


async def test_a_pipe_that_cannot_be_read_as_a_whole_ends_with_one_line(topics: Topics) -> None:
    settings = await topics()
    with start("produce", "-", "--format", "csv", settings=settings, stdin=PIPE) as process:
        _, stderr = process.communicate("author\nann\n", timeout=50)
    assert process.returncode == 2
    assert stderr.startswith("error: the CSV file has no column text")
    assert len(stderr.splitlines()) == 1
