"""The kinds of faults, and the world that they are done to."""

import asyncio
import contextlib
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.admin import add_partitions, partition_counts
from stream.settings import Settings
from tests.chaos.cluster import Cluster, Node
from tests.crash.annotators import AnnotatorProcess, MonitorProcess, Program

SESSION_MS: Final = 3000
MOST_PARTITIONS: Final = 12
TRANSACTION_MS: Final = 4000
"""How long an abandoned transaction stays open before the broker aborts it."""


@dataclass
class Slot:
    """A place for one program, which is started again whenever it has ended, as an orchestrator does."""

    kind: type[Program]
    settings: Settings
    node: Node
    folder: Path
    program: Program | None = None
    starts: int = 0

    @property
    def state_dir(self) -> Path:
        return self.folder / f"{self.settings.client_id}.state"

    def start(self) -> None:
        self.starts += 1
        log_file = self.folder / f"{self.settings.client_id}-{self.starts}.log"
        settings = self.settings.model_copy(update={"state_dir": self.state_dir})
        self.program = self.kind(settings, self.node, log_file)

    @property
    def running(self) -> Program:
        if self.program is None or not self.program.running:
            self.start()
        assert self.program is not None
        return self.program


@dataclass
class World:
    """Brokers and programs, and what chooses among them. ``settings`` are those that go past the proxies."""

    cluster: Cluster
    settings: Settings
    annotators: list[Slot]
    monitors: list[Slot]
    chance: random.Random
    ended: list[str] = field(default_factory=list)
    """Programs that have ended by themselves, with their exit codes."""

    @property
    def slots(self) -> list[Slot]:
        return [*self.annotators, *self.monitors]

    def tend(self) -> None:
        """Start again what has ended by itself."""
        for slot in self.slots:
            if slot.program is not None and not slot.program.running:
                self.ended.append(
                    f"{slot.settings.client_id}-{slot.starts}: {slot.program.process.returncode}"
                )
                slot.start()


Fault: TypeAlias = Callable[[World], Awaitable[None]]
"""Returns when the fault is over: the program started again or continued, the broker up, the link whole."""


async def kill(slot: Slot) -> None:
    slot.running.kill()
    slot.start()


async def terminate(world: World, slot: Slot) -> None:
    """SIGTERM, and started again; one that does not end with 0 has ended by itself."""
    program, slot.program = slot.running, None  # nobody else is to start it again meanwhile
    try:
        code = await asyncio.to_thread(program.terminate)
    finally:
        if program.running:
            program.kill()
    if code != 0:
        world.ended.append(f"{slot.settings.client_id}-{slot.starts}: {code} after SIGTERM")
    slot.start()


async def freeze(slot: Slot, chance: random.Random) -> None:
    program = slot.running
    program.pause()
    await asyncio.sleep(SESSION_MS / 1000 * chance.uniform(1.2, 2.0))
    program.resume()


async def lose_disk(slot: Slot) -> None:
    slot.running.kill()
    shutil.rmtree(slot.state_dir, ignore_errors=True)
    slot.start()


async def kill_broker(world: World) -> None:
    node = world.chance.choice(world.cluster.nodes)
    node.crash()
    await asyncio.to_thread(node.start)


async def restart_broker(world: World) -> None:
    node = world.chance.choice(world.cluster.nodes)
    await asyncio.to_thread(node.stop)
    await asyncio.to_thread(node.start)


async def pause_broker(world: World) -> None:
    node = world.chance.choice(world.cluster.nodes)
    node.pause()
    await asyncio.sleep(world.chance.uniform(2.0, 5.0))
    node.resume()


async def cut(world: World) -> None:
    world.chance.choice(world.cluster.nodes).proxy.cut()


async def reset(world: World) -> None:
    world.chance.choice(world.cluster.nodes).proxy.reset()


async def stall(world: World) -> None:
    """Longer than a session, and then torn half of the times."""
    proxy = world.chance.choice(world.cluster.nodes).proxy
    proxy.stall()
    await asyncio.sleep(world.chance.uniform(1.0, 2.0) * SESSION_MS / 1000)
    if world.chance.random() < 0.5:
        proxy.reset()
    proxy.flow()


async def abandon_transaction(world: World) -> None:
    """A foreign producer leaves a message in an open transaction until the broker aborts it.

    Whoever reads committed data can go no further meanwhile, and must never see that message.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=world.settings.bootstrap_servers,
        transactional_id=f"abandoned-{world.chance.randrange(10**9)}",
        transaction_timeout_ms=TRANSACTION_MS,
    )
    await producer.start()
    await producer.begin_transaction()
    partition = world.chance.randrange(world.settings.partitions)
    await producer.send_and_wait(world.settings.input_topic, b'{"text": "joy: never"}', partition=partition)
    await asyncio.sleep(TRANSACTION_MS / 1000 + 1.0)
    with contextlib.suppress(KafkaError):  # it was fenced by the broker's abort
        await producer.stop()


async def add_partition(world: World) -> None:
    """To a topic that is read. What was sent to the others stays there, and keys move from now on."""
    names = world.settings.topics
    topic = world.chance.choice((world.settings.input_topic, names.counts, names.signals))
    count = (await partition_counts(world.settings, [topic]))[topic]
    if count < MOST_PARTITIONS:
        await add_partitions(world.settings, topic, count + 1)


def _annotator(world: World) -> Slot:
    return world.chance.choice(world.annotators)


def _monitor(world: World) -> Slot:
    return world.chance.choice(world.monitors)


FAULTS: Final[dict[str, Fault]] = {
    "annotator killed": lambda world: kill(_annotator(world)),
    "annotator terminated": lambda world: terminate(world, _annotator(world)),
    "annotator frozen": lambda world: freeze(_annotator(world), world.chance),
    "monitor killed": lambda world: kill(_monitor(world)),
    "monitor terminated": lambda world: terminate(world, _monitor(world)),
    "monitor frozen": lambda world: freeze(_monitor(world), world.chance),
    "monitor's disk lost": lambda world: lose_disk(_monitor(world)),
    "broker killed": kill_broker,
    "broker paused": pause_broker,
    "connections cut": cut,
    "connections reset": reset,
    "connections stalled": stall,
    "transaction abandoned": abandon_transaction,
    "partition added": add_partition,
}

OF_SEVERAL: Final[dict[str, Fault]] = {"broker restarted": restart_broker}
"""In order (SIGTERM): not for the only broker of a cluster, see docs/delivery.md, Where it ends."""


def plan(count: int, brokers: int, chance: random.Random) -> list[str]:
    """Kinds in random order, each as often as any other, give or take one."""
    kinds = [*FAULTS, *(OF_SEVERAL if brokers > 1 else ())]
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += chance.sample(kinds, len(kinds))
    return chosen[:count]


def annotator_slot(settings: Settings, node: Node, folder: Path, number: int) -> Slot:
    named = settings.model_copy(update={"client_id": f"annotator-{number}"})
    return Slot(AnnotatorProcess, named, node, folder)


def monitor_slot(settings: Settings, node: Node, folder: Path, number: int) -> Slot:
    named = settings.model_copy(update={"client_id": f"monitor-{number}"})
    return Slot(MonitorProcess, named, node, folder)
