"""What is fetched while partitions are taken over: theirs is dropped, and nobody else's is."""

import asyncio
from typing import Any

from faust.types import TP

from stream.monitor.driver import Gate

COUNTS, SIGNALS = TP("counts", 0), TP("signals", 0)


class Fetch:
    """A fetch that brings a record of all that it is asked for, when it is told to."""

    def __init__(self) -> None:
        self.asked: set[TP] = set()
        self.answered = asyncio.Event()

    async def __call__(self, asked: set[TP]) -> dict[TP, list[str]]:
        self.asked = asked
        await self.answered.wait()
        return {tp: [tp.topic] for tp in asked}


async def under_way(gate: Gate) -> tuple[Fetch, "asyncio.Task[Any]"]:
    fetch = Fetch()
    fetching = asyncio.create_task(gate.fetch({COUNTS, SIGNALS}, fetch))
    while not fetch.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    return fetch, fetching


async def test_of_partitions_shut_meanwhile_nothing_is_handed_on_and_of_others_all() -> None:
    gate = Gate()
    gate.open((COUNTS, SIGNALS))
    fetch, fetching = await under_way(gate)
    gate.shut((SIGNALS,))
    gate.open((SIGNALS,))
    fetch.answered.set()
    assert await fetching == {COUNTS: ["counts"]}


async def test_whoever_seeks_waits_for_the_fetch_that_would_read_on_from_there() -> None:
    gate = Gate()
    gate.open((COUNTS, SIGNALS))
    for cancelled in (False, True):
        fetch, fetching = await under_way(gate)
        gate.shut((SIGNALS,))
        if cancelled:
            fetching.cancel()
        quiet = asyncio.create_task(gate.quiet())
        await asyncio.sleep(0.01)
        assert not quiet.done()
        fetch.answered.set()
        await quiet
        gate.open((SIGNALS,))


async def test_what_was_handed_out_before_a_partition_was_shut_is_admitted_no_more() -> None:
    gate = Gate()
    gate.open((COUNTS, SIGNALS))
    fetch, fetching = await under_way(gate)
    fetch.answered.set()
    await fetching
    turns = {tp: gate.fetched_in(tp) for tp in (COUNTS, SIGNALS)}
    assert all(gate.admits(tp, turn) for tp, turn in turns.items())
    gate.shut((SIGNALS,))
    gate.open((SIGNALS,))
    assert [tp for tp, turn in turns.items() if gate.admits(tp, turn)] == [COUNTS]
    await gate.fetch({SIGNALS}, fetch)
    assert gate.admits(SIGNALS, gate.fetched_in(SIGNALS))


async def test_what_is_shut_is_not_asked_for() -> None:
    gate = Gate()
    gate.open((COUNTS,))
    fetch, fetching = await under_way(gate)
    assert fetch.asked == {COUNTS}
    fetch.answered.set()
    await fetching
