"""A seeded run: messages flow, faults happen one after another, and at the end the topics are read.

python -m tests.chaos --faults 40 --seed 7 --brokers 3
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stream.admin import create_topics
from stream.settings import Settings
from tests.chaos.cluster import Cluster
from tests.chaos.faults import FAULTS, OF_SEVERAL, SESSION_MS, World, annotator_slot, monitor_slot, plan
from tests.chaos.progress import Committed, committed, left_behind, moved_since
from tests.chaos.proof import Proof, prove
from tests.crash.outcomes import Place, Sent
from tests.crash.traffic import MAX_MESSAGE_BYTES, OPTED_OUT, POISON, Traffic, send

RATE: Final = 80
"""Messages a second: every partition always has work, and two cores have time for the faults."""

START_S: Final = 300.0
STILL_S: Final = 120.0
"""A partition that does not move for so long after a fault is a violation."""


@dataclass(frozen=True, slots=True)
class Suffered:
    """A fault, and how long after its end every partition had committed something new; None: it never did."""

    kind: str
    recovery_s: float | None


@dataclass(frozen=True, slots=True)
class Result:
    seed: int
    brokers: int
    suffered: Sequence[Suffered]
    proof: Proof
    ended: Sequence[str]
    violations: Sequence[str]


async def run(faults: int, seed: int, brokers: int, folder: Path, say: Any = lambda _: None) -> Result:
    """Do ``faults`` faults; the kinds, victims and moments follow from the seed."""
    chance = random.Random(seed)
    async with Cluster(folder, brokers) as cluster:
        world = await _world(cluster, folder, chance, replicas=brokers)
        async with _running(world), _flowing(world.settings, seed) as sent:
            watched = await _watched(world)
            suffered = []
            for kind in plan(faults, brokers, chance):
                suffered.append(await _suffer(world, kind, watched))
                say(suffered[-1])
        async with _running(world):
            left = await _drained(world)
        proof = await prove(world.settings, sent)
    violations = [f"{s.kind}: no progress for {STILL_S:.0f} s" for s in suffered if s.recovery_s is None]
    violations += [f"{count} records of {partition} are not committed" for partition, count in left.items()]
    return Result(seed, brokers, suffered, proof, world.ended, [*violations, *proof.violations])


async def _world(cluster: Cluster, folder: Path, chance: random.Random, replicas: int) -> World:
    optout_file = folder / "optout.txt"
    optout_file.write_text("".join(f"{author}\n" for author in OPTED_OUT))
    values: dict[str, Any] = {
        "input_topic": "messages",
        "topic_prefix": "emotions",
        "group_id": "annotators",
        "monitor_group_id": "monitors",
        "partitions": 4,
        "replication_factor": replicas,
        "model": f"fake?delay_ms=5&fail_on={POISON}",
        "author_key": "a key for the tests",
        "optout_file": optout_file,
        "max_message_bytes": MAX_MESSAGE_BYTES,
        "commit_interval_ms": 100,
        "checkpoint_interval_ms": 200,
        "judge_delay_s": 0,
        "session_timeout_ms": SESSION_MS,
        "transaction_timeout_ms": 10_000,
        "revoke_timeout_s": 5,
        "log_format": "json",
    }
    settings = Settings(bootstrap_servers=cluster.servers, **values)
    await create_topics(settings)
    behind = Settings(bootstrap_servers=cluster.proxied_servers, **values)
    node = cluster.nodes[0]
    return World(
        cluster,
        settings,
        [annotator_slot(behind, node, folder, number) for number in (1, 2)],
        [monitor_slot(behind, node, folder, number) for number in (1, 2)],
        chance,
    )


@contextlib.asynccontextmanager
async def _running(world: World) -> AsyncIterator[None]:
    """All programs, tended; killed at the end."""
    for slot in world.slots:
        slot.start()
    tending = asyncio.create_task(_tend(world))
    try:
        yield
    finally:
        tending.cancel()
        for slot in world.slots:
            if slot.program is not None and slot.program.running:
                slot.program.kill()


async def _tend(world: World) -> None:
    while True:
        await asyncio.sleep(1.0)
        world.tend()


@contextlib.asynccontextmanager
async def _flowing(settings: Settings, seed: int) -> AsyncIterator[dict[Place, Sent]]:
    """Messages flow; what was sent is in the dictionary once the block has ended."""
    over, sent = threading.Event(), dict[Place, Sent]()
    hours = 4
    count = RATE * 3600 * hours
    traffic = Traffic(seed, datetime.now(UTC))
    sending = asyncio.create_task(
        send(settings, traffic, count, over_s=3600 * hours, chunks=5 * 3600 * hours, until=over.is_set)
    )
    try:
        yield sent
    finally:
        over.set()
        sent.update(await sending)


async def _watched(world: World) -> set[Any]:
    """Wait until programs are at work; the partitions that move, which those without a channel do not."""
    names, deadline = world.settings.topics, time.monotonic() + START_S
    sources = {(world.settings.input_topic, n) for n in range(world.settings.partitions)}
    sources |= {(names.signals, n) for n in range(world.settings.partitions)}
    while not sources <= (found := await committed(world.settings)).keys():
        assert time.monotonic() < deadline, f"the programs do not start: {sorted(found)}"
        await asyncio.sleep(0.5)
    await asyncio.sleep(2)
    later = await committed(world.settings)
    return {partition for partition in later if later[partition] > found.get(partition, -1)}


async def _suffer(world: World, kind: str, watched: set[Any]) -> Suffered:
    await asyncio.sleep(world.chance.uniform(0.5, 2.0))
    await (FAULTS | OF_SEVERAL)[kind](world)
    over = time.monotonic()
    before: Committed = {
        partition: offset
        for partition, offset in (await committed(world.settings)).items()
        if partition in watched
    }
    moved_at = await moved_since(world.settings, before, STILL_S)
    return Suffered(kind, None if moved_at is None else moved_at - over)


async def _drained(world: World, timeout_s: float = 120.0) -> dict[Any, int]:
    """Wait until nothing is left to do; what is left after all that time."""
    deadline = time.monotonic() + timeout_s
    left = await left_behind(world.settings)
    while left and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        left = await left_behind(world.settings)
    await asyncio.sleep(2 * world.settings.checkpoint_interval_ms / 1000)
    return left
