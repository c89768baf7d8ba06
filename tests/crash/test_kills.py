"""SIGKILL at any moment, and annotators that come and go: still one outcome for every message."""

import asyncio
import random
import threading
import time

import pytest

from stream.settings import Settings
from tests.brokers import Broker
from tests.crash.annotators import TAKEN_OVER, Annotators
from tests.crash.outcomes import Place, Sent, assert_exactly_once, assert_nothing_lost
from tests.crash.traffic import Traffic, send

KILLS = 6
SECOND_COMES = (2, 5)
SECOND_GOES = (4, 6)
"""Numbers of the kills before which a second annotator is added, and one is stopped with SIGTERM."""


async def test_kills_and_a_second_annotator_leave_one_outcome_for_every_message(
    settings: Settings, annotators: Annotators, traffic: Traffic, chance: random.Random
) -> None:
    sent = await send_through_kills(KILLS, settings, annotators, traffic, chance)
    assert len(sent) > 1000
    await assert_exactly_once(settings, sent)


async def test_at_least_once_loses_nothing_and_repeats_only_under_the_same_ids(
    broker: Broker, settings: Settings, annotators: Annotators, traffic: Traffic, chance: random.Random
) -> None:
    if broker.kind == "embedded":
        pytest.skip("the embedded broker never evicts a killed member by itself: set KAFKA_HOME")
    annotators.settings = annotators.settings.model_copy(update={"guarantee": "at_least_once"})
    sent = await send_through_kills(3, settings, annotators, traffic, chance)
    await assert_nothing_lost(settings, sent)


async def send_through_kills(
    kills: int, settings: Settings, annotators: Annotators, traffic: Traffic, chance: random.Random
) -> dict[Place, Sent]:
    """Produce as long as annotators are killed, then have one label what is left."""
    over = threading.Event()
    sending = asyncio.create_task(send(settings, traffic, 40_000, over_s=100, until=over.is_set))
    try:
        await asyncio.to_thread(kill_again_and_again, kills, annotators, chance)
    finally:
        over.set()
        sent = await sending
    await asyncio.to_thread(annotators.drain)
    return sent


def kill_again_and_again(kills: int, annotators: Annotators, chance: random.Random) -> None:
    """Kill mostly at work, sometimes at the start, and replace each victim; at the end kill all."""
    annotators.start()
    for number in range(1, kills + 1):
        if number in SECOND_COMES:
            annotators.start()
        if number in SECOND_GOES:
            leaving = annotators.running[-1].wait_until_it_says(TAKEN_OVER)
            assert leaving.terminate() == 0, leaving.tail()
        victim = chance.choice(annotators.running)
        if chance.random() < 0.8:
            victim.wait_until_it_says(TAKEN_OVER)
        time.sleep(chance.uniform(0.0, 0.8))
        victim.kill()
        annotators.start()
    annotators.kill_all()
