"""Programs that are started before their brokers wait for them, say so, and do not wait for ever."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from model.fake import FakeClassifier
from model.folder import WEIGHTS
from stream.admin import create_topics, partition_counts
from stream.annotate.app import Annotator
from stream.errors import BrokerError
from stream.settings import Settings
from stream.starting import answered
from tests.brokers import Address, ApacheKafka, free_port
from tests.chaos.cluster import Cluster
from tests.crash.annotators import AnnotatorProcess, MonitorProcess, Program
from tests.records import produce

NOWHERE = "127.0.0.1:1"


async def test_the_wait_ends_with_what_no_broker_said() -> None:
    settings = Settings(bootstrap_servers=NOWHERE, start_timeout_s=0.6)
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {NOWHERE}"):
        await answered(settings, asyncio.Event(), lambda: partition_counts(settings, ()))


async def test_a_program_that_waits_can_be_stopped() -> None:
    settings, stopped = Settings(bootstrap_servers=NOWHERE), asyncio.Event()
    waiting = asyncio.create_task(answered(settings, stopped, lambda: partition_counts(settings, ())))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    stopped.set()
    assert await waiting is None


async def answer(port: int, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def until_it_answers(port: int, path: str, status: int, timeout_s: float = 60) -> str:
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                found, text = await answer(port, path)
                if found == status:
                    return text
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def test_the_parent_of_several_workers_waits_for_brokers_too(tmp_path: Path) -> None:
    settings = Settings(bootstrap_servers=NOWHERE, model="fake", workers=2)
    parent = AnnotatorProcess(settings, Address(NOWHERE), tmp_path / "parent.log")
    try:
        await asyncio.to_thread(parent.wait_until_it_says, "waiting for a broker")
        assert await asyncio.to_thread(parent.terminate) == 0
    finally:
        parent.process.kill()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "gone"}, "gone is no folder: name a Hugging Face model folder"),
        ({"model": "torn"}, "config.json"),
        ({"model": "bare"}, "model.safetensors is missing"),
        ({"model": "bare", "precision": "int8"}, "model.int8.onnx is missing"),
        ({"model": "fake?delay=1"}, "fake model: unknown option 'delay'"),
        ({"model": "fake", "shadow": "gone"}, "gone is no folder"),
    ],
)
async def test_the_parent_of_several_workers_names_a_broken_model_before_it_waits(
    tmp_path: Path, given: dict[str, str], says: str
) -> None:
    for name, config in (("torn", '{"id2label": '), ("bare", (WEIGHTS / "config.json").read_text())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
    said = []
    for workers in (1, 2):
        settings = Settings(bootstrap_servers=NOWHERE, workers=workers, start_timeout_s=600, **given)
        program = AnnotatorProcess(settings, Address(NOWHERE), tmp_path / "program.log")
        try:
            assert await asyncio.to_thread(program.wait, 30) == 1
        finally:
            program.process.kill()
        said.append(program.tail(1))
        assert not program.says("waiting for a broker")
    alone, parent = said
    assert says in alone
    assert parent == alone


@asynccontextmanager
async def three_brokers(folder: Path, **given: Any) -> AsyncIterator[tuple[Cluster, Settings]]:
    """Three brokers of Apache Kafka, with our topics on all of them, and the settings to use them."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("needs brokers whose processes are ours: set KAFKA_HOME")
    async with Cluster(folder, 3) as cluster:
        settings = Settings(
            bootstrap_servers=cluster.servers,
            replication_factor=3,
            author_key="a key for the tests",
            **given,
        )
        await create_topics(settings)
        yield cluster, settings


@pytest.mark.crash
@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_an_annotator_starts_while_one_of_three_brokers_has_just_crashed(tmp_path: Path) -> None:
    async with three_brokers(tmp_path, partitions=3, model="fake", drain=True) as (cluster, settings):
        await produce(cluster.servers, settings.input_topic, [b'{"text": "joy"}'] * 10)
        cluster.nodes[0].crash()
        # Whom each asks is left to chance, and the broker that has crashed is still one of those.
        annotators = [
            Annotator(settings.model_copy(update={"group_id": f"group-{number}"}), FakeClassifier())
            for number in range(6)
        ]
        async with asyncio.timeout(120):
            await asyncio.gather(*(annotator.run() for annotator in annotators))


@pytest.mark.crash
@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_a_monitor_whose_changelogs_cannot_be_made_yet_starts_once_they_can(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    async with three_brokers(tmp_path, partitions=1, state_dir=state_dir) as (cluster, settings):
        for node in cluster.nodes[:2]:  # the last still tells of topics, and has nobody to make one
            node.crash()
        monitor = MonitorProcess(settings, Address(cluster.servers), tmp_path / "monitor.log")
        try:
            await asyncio.to_thread(monitor.wait_until_it_says, "waiting for a broker")
            await asyncio.to_thread(cluster.nodes[0].start)
            await asyncio.to_thread(monitor.wait_until_it_says, "monitor started")
            assert await asyncio.to_thread(monitor.terminate) == 0
        finally:
            if monitor.running:
                monitor.kill()


@pytest.mark.crash
@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_programs_that_are_started_before_their_broker_begin_once_it_is_there(
    mortal: ApacheKafka, tmp_path: Path
) -> None:
    settings = Settings(
        bootstrap_servers=mortal.bootstrap_servers,
        partitions=1,
        model="fake",
        author_key="a key for the tests",
        state_dir=tmp_path / "state",
    )
    await create_topics(settings)
    mortal.crash()
    ports = {AnnotatorProcess: free_port(), MonitorProcess: free_port()}
    programs: list[Program] = []
    try:
        for kind, port in ports.items():
            own = settings.model_copy(update={"http_port": port})
            programs.append(kind(own, mortal, tmp_path / f"{kind.__name__}.log"))
        for port in ports.values():
            reason = await until_it_answers(port, "/readyz", 503)
            assert "no Kafka broker answers" in reason
            assert (await answer(port, "/healthz"))[0] == 200
        await asyncio.to_thread(mortal.start)
        for program, port in zip(programs, ports.values(), strict=True):
            await until_it_answers(port, "/readyz", 200)
            assert program.says("waiting for a broker")
    finally:
        for program in programs:
            if program.running:
                program.kill()
