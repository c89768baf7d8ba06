"""The broker freezes, or crashes: annotators wait or join again, and outcomes stay exactly one."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.admin import create_topics
from stream.settings import Settings
from tests.brokers import ApacheKafka, Broker, Embedded
from tests.crash.annotators import TAKEN_OVER, Annotators, annotators_of
from tests.crash.outcomes import assert_exactly_once
from tests.crash.traffic import Traffic, send


async def test_a_broker_that_freezes_for_three_seconds_costs_nothing_but_time(
    broker: Broker, settings: Settings, annotators: Annotators, traffic: Traffic
) -> None:
    if not isinstance(broker, Embedded | ApacheKafka):
        pytest.skip("this broker's process is not ours to freeze: use --kafka=embedded or apache")

    def freeze() -> None:
        broker.pause()
        time.sleep(3)
        broker.resume()

    await hurt_broker_at_work(freeze, settings, annotators, traffic)


async def test_a_broker_that_crashes_and_comes_back_costs_nothing_but_time(
    mortal: ApacheKafka, settings: Settings, traffic: Traffic, tmp_path: Path
) -> None:
    def crash() -> None:
        # Not stopped in order: the only broker of a cluster, once it shuts down, knows no leaders any more
        # and (seen with Kafka 4.3) completes transactions without writing their markers.
        mortal.crash()
        mortal.start()

    on_mortal = settings.model_copy(update={"bootstrap_servers": mortal.bootstrap_servers})
    await create_topics(on_mortal)
    with annotators_of(on_mortal, mortal, tmp_path) as annotators:
        await hurt_broker_at_work(crash, on_mortal, annotators, traffic)


async def hurt_broker_at_work(
    hurt: Callable[[], None], settings: Settings, annotators: Annotators, traffic: Traffic
) -> None:
    sent = await send(settings, traffic, 3000)
    annotator = annotators.start()
    await asyncio.to_thread(annotator.wait_until_it_says, TAKEN_OVER)
    await asyncio.to_thread(hurt)
    sent |= await send(settings, traffic, 500)
    assert annotator.running, annotator.tail()
    await asyncio.to_thread(annotators.drain)
    code = await asyncio.to_thread(annotator.terminate)
    assert code == 0, annotator.tail()
    await assert_exactly_once(settings, sent)
