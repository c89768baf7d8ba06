"""A zombie: an annotator that was frozen, lost its partitions, and wakes up with work in its hands."""

import asyncio
import time
from typing import Final

from stream.settings import Settings
from tests.crash.annotators import TAKEN_OVER, AnnotatorProcess, Annotators, wait_until
from tests.crash.outcomes import assert_exactly_once
from tests.crash.traffic import POISON, Traffic, send

SLOW: Final = f"fake?delay_ms=300&fail_on={POISON}"
HAS_WORK_AFTER_S: Final = 0.5
"""It polls every 50 ms and computes for seconds: frozen then, it has work in its hands."""


async def test_a_zombie_is_fenced_publishes_nothing_says_so_and_joins_again(
    settings: Settings, annotators: Annotators, traffic: Traffic
) -> None:
    sent = await send(settings, traffic, 3000)
    await asyncio.to_thread(freeze_and_wake_one, annotators, settings.partitions)
    await asyncio.to_thread(annotators.drain)
    await assert_exactly_once(settings, sent)


def freeze_and_wake_one(annotators: Annotators, partitions: int) -> None:
    zombie = annotators.start(model=SLOW)
    wait_until(lambda: taken_over(zombie) == partitions, 60, "the first annotator to own all partitions")
    time.sleep(HAS_WORK_AFTER_S)
    zombie.pause()
    heir = annotators.start()
    wait_until(lambda: taken_over(heir) == partitions, 60, "the second annotator to own all partitions")
    zombie.resume()
    zombie.wait_until_it_says("fenced")
    wait_until(lambda: taken_over(zombie) > partitions or not zombie.running, 60, "the zombie to join again")
    for annotator in annotators.running:
        assert annotator.terminate() == 0, annotator.tail()


def taken_over(annotator: AnnotatorProcess) -> int:
    """How many times it took over a partition."""
    return sum(line.get("event") == TAKEN_OVER for line in annotator.log())
