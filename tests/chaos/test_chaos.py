"""A short run of what ``make chaos`` does for as long as it is told, and what its proof is able to see."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from stream.events import ALL_CHANNELS, Source
from tests.brokers import kinds_of
from tests.chaos.__main__ import table
from tests.chaos.faults import FAULTS, plan
from tests.chaos.progress import anything_beyond
from tests.chaos.proof import batch_count, batch_of_alerts, wrong_alerts, wrong_cells, wrong_order
from tests.chaos.run import run
from tests.conftest import Topics
from tests.crash.traffic import Traffic
from tests.stream.monitor.factories import signal
from tests.stream.monitor.test_delivery import eventually


def test_a_plan_follows_from_its_seed_and_holds_every_kind_before_one_comes_twice() -> None:
    assert plan(40, 1, Random(7)) == plan(40, 1, Random(7))
    assert plan(40, 1, Random(7)) != plan(40, 1, Random(8))
    assert set(plan(len(FAULTS), 1, Random(7))) == set(FAULTS)


def test_a_counter_that_differs_from_the_batch_count_is_seen() -> None:
    wanted = batch_count(Traffic(1, datetime.now(UTC)).take(200))
    in_minutes = [n for (channel, length, *_), n in wanted.items() if (channel, length) == (ALL_CHANNELS, 60)]
    assert sum(in_minutes) == 200
    assert list(wrong_cells(wanted, wanted)) == []
    cell = next(iter(wanted))
    assert len(list(wrong_cells(wanted, wanted + Counter([cell])))) == 1
    assert len(list(wrong_cells(wanted, wanted - Counter([cell])))) == 1


def test_an_event_that_comes_after_a_later_one_of_its_partition_is_seen() -> None:
    events = [Source(topic="messages", partition=p, offset=o) for p, o in [(0, 1), (1, 0), (0, 2), (1, 5)]]
    assert list(wrong_order(events)) == []
    assert len(list(wrong_order([*events, events[0]]))) == 1


def test_an_alert_that_is_not_the_batch_s_is_seen() -> None:
    sad = [signal(0.95, offset=n, ts=1e9 + n) for n in range(12)]
    due = batch_of_alerts((0, n, 1e9 + n, one) for n, one in enumerate(sad))
    assert due
    assert len(list(wrong_alerts(due, []))) == len(due)
    assert batch_of_alerts((n, n, 1e9 + n, one) for n, one in enumerate(sad[:3])) == set()


async def test_a_partition_in_which_nothing_more_comes_does_not_stand_still(topics: Topics) -> None:
    settings = await topics(partitions=1)
    servers, place = settings.bootstrap_servers, TopicPartition(settings.input_topic, 0)
    async with (
        AIOKafkaProducer(bootstrap_servers=servers, transactional_id=settings.group_id) as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(settings.input_topic, b"x", partition=0)
    # Readers see a transaction a moment after it has ended.
    await eventually(lambda: anything_beyond(settings, {place: 0}))
    assert not await anything_beyond(settings, {place: 1}), "what ends the transaction is no record"


@pytest.mark.crash
@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_faults_lose_nothing_double_nothing_and_stop_nothing(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if "apache" not in kinds_of(pytestconfig.getoption("--kafka")):
        pytest.skip("needs brokers whose processes are ours: set KAFKA_HOME")
    seed: int = pytestconfig.getoption("--crash-seed")
    result = await run(3, seed, 1, tmp_path)
    assert not result.violations, f"seed {seed}\n{table(result)}\n" + "\n".join(result.violations[:20])
    assert result.proof.alert_records > 0
