"""Latency against load: what is measured, and from when."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from stream.bench.curve import Report, check_picture
from stream.bench.latency import QUIET_S, BenchError, Curve, Point, Work, measured
from stream.bench.openloop import Wire, due_times, offered, sustained
from stream.errors import OutputError
from stream.settings import Settings
from tests.stream.commands import run

STALL_S = 0.3


def delivered(error: Exception | None = None) -> "asyncio.Future[None]":
    """What a producer answers, once the broker has."""
    answer = asyncio.get_running_loop().create_future()
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)
    return answer


class Stalling:
    """A producer that stands still at its first message; whatever it has sent is labelled at once."""

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.sent = 0

    async def send(self, _topic: str, value: bytes, **_where: Any) -> "asyncio.Future[None]":
        if not self.sent:
            await asyncio.sleep(STALL_S)
        self.sent += 1
        assert self.wire is not None
        self.wire.labelled_at[orjson.loads(value)["id"]] = time.monotonic()
        return delivered()


async def test_a_message_that_is_sent_late_counts_from_when_it_was_due() -> None:
    producer: Any = Stalling()
    wire = producer.wire = Wire(producer, None, "messages", 4, ["a text"])
    latencies = await offered(wire, [0.0, STALL_S / 3, 2 * STALL_S / 3], quiet_s=5.0)
    assert latencies[0] >= STALL_S
    assert latencies[1] >= STALL_S * 2 / 3 - 0.01
    assert latencies[2] >= STALL_S / 3 - 0.01


async def test_no_text_is_sent_twice() -> None:
    texts = []

    class Noting(Stalling):
        async def send(self, _topic: str, value: bytes, **_where: Any) -> "asyncio.Future[None]":
            texts.append(orjson.loads(value)["text"])
            return delivered()

    producer: Any = Noting()
    wire = Wire(producer, None, "messages", 4, ["a text", "another"])
    for _ in range(6):
        await wire.send()
    assert texts[:3] == ["a text", "another", "a text 1"]
    assert len(set(texts)) == 6


async def test_the_capacity_is_what_comes_out_when_more_is_offered() -> None:
    class OneAtATime(Stalling):
        free_at = 0.0

        async def send(self, _topic: str, value: bytes, **_where: Any) -> "asyncio.Future[None]":
            assert self.wire is not None
            self.free_at = max(self.free_at, time.monotonic()) + 0.01
            self.wire.labelled_at[orjson.loads(value)["id"]] = self.free_at
            return delivered()

    producer: Any = OneAtATime()
    wire = producer.wire = Wire(producer, None, "messages", 4, ["a text"])
    assert await sustained(wire, rate=1000.0, count=60, quiet_s=5.0) == pytest.approx(100.0, rel=0.1)


async def test_labels_that_do_not_come_end_the_measurement() -> None:
    wire: Any = Wire(None, None, "messages", 4, ["a text"])  # type: ignore[arg-type]  # nothing is sent
    with pytest.raises(TimeoutError, match="2 of 2 messages got no label"):
        await wire.until_labelled(["m-0", "m-1"], quiet_s=0.05)


async def test_a_message_that_is_not_delivered_ends_the_measurement_with_the_reason() -> None:
    class Refused(Stalling):
        async def send(self, _topic: str, value: bytes, **_where: Any) -> "asyncio.Future[None]":
            return delivered(TopicAuthorizationFailedError("messages"))

    producer: Any = Refused()
    for due in ([0.0], [0.0, 0.1, 60.0]):
        wire = Wire(producer, None, "messages", 4, ["a text"])
        with pytest.raises(TopicAuthorizationFailedError):
            await asyncio.wait_for(offered(wire, due, quiet_s=60.0), 30.0)


class Running:
    """An annotator that goes on."""

    problem = exit_code = None

    async def ended(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "said"),
    [(TopicAuthorizationFailedError("emotions"), "TopicAuthorizationFailed"), (KeyError("message_id"), "id")],
)
async def test_labels_that_cannot_be_read_end_the_measurement_at_once_with_the_reason(
    error: Exception, said: str
) -> None:
    class Unreadable:
        async def getmany(self, **_options: Any) -> None:
            raise error

    annotator, consumer = Running(), Unreadable()
    wire: Any = Wire(None, consumer, "messages", 4, ["a text"])  # type: ignore[arg-type]  # nothing is sent

    async def curve() -> Curve:
        await wire.until_labelled(["m-0"], quiet_s=60.0)
        return Curve(0.0, ())

    measuring = measured(curve(), asyncio.create_task(wire.read()), annotator)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match=rf"labels cannot be read \(.*{said}.*\); annotator: runs"):
        await asyncio.wait_for(measuring, 30.0)


def test_messages_are_due_at_random_moments_of_the_rate_that_was_asked_for() -> None:
    times = due_times(50.0, 5000, seed=3)
    assert times == sorted(times) == due_times(50.0, 5000, seed=3)
    assert times[-1] == pytest.approx(100.0, rel=0.1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) < 0.001 < 0.1 < max(gaps)


def test_a_percentile_is_the_latency_that_so_many_messages_did_not_exceed() -> None:
    point = Point(0.5, 10.0, tuple(n / 1000 for n in range(100, 0, -1)), Work(0, 0, 0, 0))
    assert [point.percentile(percent) for percent in (1, 50, 99, 100)] == [0.001, 0.05, 0.099, 0.1]


def test_the_command_measures_an_annotator_on_a_broker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_HTTP_TOKEN", "4f0d7a1c9be2635808d4c6f1a7e39b52")
    monkeypatch.setenv("EMOTION_INPUT_TOPIC", "chat,mail")
    arguments = ["bench", "latency", "--model", "null", "--loads", "20", "--seconds", "1", "--burst", "200"]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    report = orjson.loads(result.stdout)
    (point,) = report["points"]
    assert point["messages"] >= 200
    assert 0 < point["p50_ms"] <= point["p95_ms"] <= point["p99_ms"]
    assert point["messages_per_s"] == pytest.approx(report["capacity_messages_per_s"] / 5)
    assert point["bound_ms"] >= 120
    assert point["batch_ms"] > 0 < point["commit_ms"]


@pytest.mark.parametrize(
    ("option", "exit_code", "said"),
    [("--model", 1, "nowhere is no folder"), ("--phrases-file", 2, "phrase lists cannot be read")],
)
def test_an_annotator_that_ends_by_itself_ends_the_measurement_with_its_complaint(
    option: str, exit_code: int, said: str
) -> None:
    started = time.monotonic()
    result = run("bench", "latency", option, "nowhere")
    assert time.monotonic() - started < QUIET_S / 2
    assert result.exit_code == exit_code
    begins = f"error: there is nothing to measure; annotator: it ended with exit code {exit_code}: error: "
    assert result.stderr.startswith(begins)
    assert said in result.stderr


@pytest.mark.parametrize("loads", ["", "ten", "0,50", "-1"])
def test_loads_are_per_cents_above_zero(loads: str) -> None:
    result = run("bench", "latency", "--loads", loads)
    assert result.exit_code == 2
    assert "name per cents above zero" in result.output


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        ("curve.foo", "curve.foo: the name of a picture must end in one of "),
        ("curve", "curve: the name of a picture must end in one of "),
        ("nowhere/curve.svg", "nowhere/curve.svg cannot be written (No such file or directory)"),
        ("folder.svg", "folder.svg cannot be written (Is a directory)"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_measured(
    plot: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*_: Any) -> None:
        pytest.fail("it measures")

    monkeypatch.setattr("stream.scratch.scratch_cluster", not_yet)
    Path("folder.svg").mkdir()
    result = run("bench", "latency", "--model", "null", "--plot", plot)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {said}")


def test_a_picture_is_drawn_into_the_file_that_was_checked() -> None:
    file = Path("curve.svg")
    check_picture(file)
    assert not file.exists()
    point = Point(0.5, 10.0, (0.1, 0.2), Work(1, 0.1, 1, 0.1))
    report = Report(Curve(20.0, (point,)), Settings(), "embedded")
    report.draw(file)
    assert b"<svg" in file.read_bytes()
    check_picture(file)
    assert b"<svg" in file.read_bytes()
    with pytest.raises(OutputError, match=r"nowhere/curve.svg cannot be written \(No such file"):
        report.draw(Path("nowhere/curve.svg"))
