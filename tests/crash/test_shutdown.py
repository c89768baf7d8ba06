"""SIGTERM in the middle of the flow: what is in work is finished, nothing is lost, nothing comes twice."""

import asyncio
import random
import time

import pytest

from stream.errors import StreamError
from stream.settings import Settings
from tests.crash.annotators import TAKEN_OVER, Annotators
from tests.crash.outcomes import assert_exactly_once, read_published
from tests.crash.traffic import Traffic, send


@pytest.mark.every_broker
async def test_sigterm_finishes_what_is_in_work_and_the_next_one_goes_on(
    settings: Settings, annotators: Annotators, traffic: Traffic, chance: random.Random
) -> None:
    sent = await send(settings, traffic, 3000)
    annotator = annotators.start()
    await asyncio.to_thread(annotator.wait_until_it_says, TAKEN_OVER)
    await asyncio.sleep(chance.uniform(0.2, 0.6))
    code = await asyncio.to_thread(annotator.terminate)
    assert code == 0, annotator.tail()
    assert not annotator.says("given up"), annotator.tail()
    published = await read_published(settings)
    assert 0 < len(published.events) < len(sent)
    await asyncio.to_thread(annotators.drain)
    await assert_exactly_once(settings, sent)


@pytest.mark.parametrize(
    ("said", "moment_s"),
    [("loading model", 0.0), ("model loaded", 0.0), ("model loaded", 0.2), ("model loaded", 0.5)],
)
async def test_sigterm_during_the_start_ends_cleanly(
    settings: Settings, annotators: Annotators, traffic: Traffic, said: str, moment_s: float
) -> None:
    await send(settings, traffic, 50)
    annotator = annotators.start()
    await asyncio.to_thread(annotator.wait_until_it_says, said)
    time.sleep(moment_s)  # noqa: ASYNC251 - nothing else is to run
    code = await asyncio.to_thread(annotator.terminate)
    assert code == 0, annotator.tail()


async def test_sigterm_ends_an_annotator_whose_model_never_gets_loaded(annotators: Annotators) -> None:
    annotator = annotators.start(model="fake?delay_ms=600000", revoke_timeout_s=0.5)
    await asyncio.to_thread(annotator.wait_until_it_says, "loading model")
    code = await asyncio.to_thread(annotator.terminate)
    assert code == StreamError.exit_code, annotator.tail()
    assert annotator.says("does not end by itself")
