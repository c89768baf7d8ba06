"""Several workers under one parent: one outcome for each message, whatever ends a worker or the parent."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from stream.settings import Settings
from tests.brokers import Broker, free_port
from tests.crash.annotators import AnnotatorProcess, Annotators, wait_until
from tests.crash.outcomes import assert_exactly_once
from tests.crash.traffic import Traffic, send

STARTED = "worker started"


@pytest.fixture
def one_broker(broker: Broker) -> Broker:
    """Apache Kafka where it is: what is tested is ours, and these are slow."""
    if broker.kind == "embedded" and os.environ.get("KAFKA_HOME"):
        pytest.skip("one broker is enough for these")
    return broker


def pids(parent: AnnotatorProcess) -> list[int]:
    """Of the workers that were started, in that order."""
    return [line["pid"] for line in parent.log() if line.get("event") == STARTED]


def alive(pid: int) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def ready(parent: AnnotatorProcess, workers: int) -> bool:
    labelling = {
        line.get("worker") for line in parent.log() if "partition taken over" in str(line.get("event"))
    }
    return len(labelling) == workers


@contextlib.contextmanager
def none_left(parent: AnnotatorProcess) -> Iterator[None]:
    try:
        yield
    finally:
        for pid in pids(parent):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


async def test_a_killed_worker_is_started_again_and_all_stop_together(
    one_broker: Broker, settings: Settings, annotators: Annotators, traffic: Traffic, chance: random.Random
) -> None:
    if one_broker.kind == "embedded":
        pytest.skip("this broker never notices that a member was killed")
    sent = await send(settings, traffic, 2000)
    port = free_port(following=1)  # each worker has one of its own
    parent = annotators.start(workers=2, http_port=port)
    with none_left(parent):
        await asyncio.to_thread(wait_until, lambda: ready(parent, 2), 60, "two workers to label")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/healthz") as answer,
        ):
            assert answer.status == 200
        os.kill(pids(parent)[chance.randrange(2)], signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: len(pids(parent)) == 3, 30, "another worker")
        assert parent.says("is started again")
        parent.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(parent.wait_until_it_says, "in force already")
        code = await asyncio.to_thread(parent.terminate)
        assert code == 0, parent.tail()
        assert not any(map(alive, pids(parent)))
    draining = annotators.start(workers=2, drain=True)
    with none_left(draining):
        assert await asyncio.to_thread(draining.wait, 60) == 0, draining.tail()
    await assert_exactly_once(settings, sent)


async def test_workers_end_with_a_parent_that_is_killed(
    one_broker: Broker, settings: Settings, annotators: Annotators
) -> None:
    parent = annotators.start(workers=2)
    with none_left(parent):
        await asyncio.to_thread(wait_until, lambda: ready(parent, 2), 60, "two workers to label")
        parent.process.kill()
        await asyncio.to_thread(wait_until, lambda: not any(map(alive, pids(parent))), 30, "workers to end")
        assert parent.says("it ends too")


async def test_what_a_start_over_would_not_cure_ends_all_with_its_exit_code(
    one_broker: Broker, settings: Settings, annotators: Annotators, tmp_path: Path
) -> None:
    parent = annotators.start(workers=2, phrases_file=tmp_path / "there is none.toml")
    with none_left(parent):
        assert await asyncio.to_thread(parent.wait, 60) == 2, parent.tail()
        assert len(pids(parent)) == 2, "none was started again"
        assert not any(map(alive, pids(parent)))


async def test_sigterm_ends_a_parent_that_still_looks_at_the_cluster(
    one_broker: Broker, annotators: Annotators
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        parent = annotators.start(workers=2, bootstrap_servers=address)
        await asyncio.to_thread(parent.wait_until_it_says, "looking at the cluster")
        assert await asyncio.to_thread(parent.terminate) == 0, parent.tail()
        assert not pids(parent)
