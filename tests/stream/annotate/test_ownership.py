"""A membership's commits: how far they lie apart, and what they claim of what is given away."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.assigned import PartitionContext
from stream.annotate.inputtopics import Incarnation
from stream.annotate.ownership import Ownership, between_commits_s
from stream.annotate.progress import Progress
from stream.annotate.publish import Finished, OpenPublisher
from stream.annotate.tracing import NoTracing
from stream.deadline import Deadline
from stream.events import Message
from stream.membership import Membership
from stream.metrics import Metrics
from tests.stream.annotate.test_annotator import until
from tests.stream.annotate.test_outcomes import emotion, encoder, entry

PLACE = TopicPartition("messages", 0)
seconds, counts = st.floats(0.0, 60.0), st.integers(1, 4096)


@given(interval_s=seconds, commit_s=seconds, messages=counts)
def test_what_is_finished_after_a_commit_began_is_committed_within_the_interval(
    interval_s: float, commit_s: float, messages: int
) -> None:
    if commit_s <= interval_s / 2:
        assert between_commits_s(interval_s, commit_s, messages) + commit_s <= interval_s + 1e-9


@given(interval_s=seconds, commit_s=seconds, messages=counts)
def test_slow_commits_leave_half_of_the_interval_to_gather_messages(
    interval_s: float, commit_s: float, messages: int
) -> None:
    if commit_s >= interval_s / 2:
        assert between_commits_s(interval_s, commit_s, messages) == interval_s / 2


@given(interval_s=seconds, commit_s=seconds, messages=counts)
def test_quick_commits_come_sooner_and_take_a_quarter_of_the_time_or_an_eighth_where_many_messages_come(
    interval_s: float, commit_s: float, messages: int
) -> None:
    apart = 4 if messages <= 256 else 8
    if commit_s <= interval_s / 2 / apart:
        assert between_commits_s(interval_s, commit_s, messages) == apart * commit_s


class Recorded:
    """A publisher that notes what it is asked for."""

    def __init__(self, owner: str, on_commit: Callable[[], object]) -> None:
        self.owner: str | None = owner
        self.claimed: list[int] = []
        self.committed: list[int] = []
        self._on_commit = on_commit

    async def take_over(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        return dict.fromkeys(partitions, OffsetAndMetadata(0, ""))

    async def claim(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        self.claimed += [at.offset for at in offsets.values()]

    async def commit(self, finished: Sequence[Finished]) -> None:
        self.committed += [part.next_offset.offset for part in finished]
        self._on_commit()

    async def close(self, deadline: Deadline) -> None: ...


class Consumer:
    """What taking over asks of a consumer."""

    def seek(self, place: TopicPartition, offset: int) -> None: ...

    def resume(self, place: TopicPartition) -> None: ...


def context_of(open_publisher: OpenPublisher, suspects: set[TopicPartition]) -> PartitionContext:
    consumer: Any = Consumer()
    return PartitionContext(
        consumer=consumer,
        open_publisher=open_publisher,
        encoders={PLACE.topic: encoder()},
        metrics=Metrics(),
        tracing=NoTracing(),
        commit_interval_s=0.0,
        incarnations={PLACE.topic: Incarnation(None, 0)},
        starts_at_latest=False,
        progress=Progress(60.0),
        suspects=suspects,
    )


async def test_a_partition_that_is_read_on_through_what_was_aborted_does_not_stand_still() -> None:
    publisher = Recorded("owner", lambda: None)

    async def open_publisher(membership: Membership, number: int) -> Recorded:
        return publisher

    context = context_of(open_publisher, suspects=set())
    context.progress.assigned(time.monotonic() - 1000, frozenset({PLACE}))
    ownership = Ownership(Membership("group", "member", 1), [PLACE], context)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        ownership.start(tasks)
        partition = ownership.partitions[PLACE]
        await until(lambda: partition.state.admits)
        assert context.progress.standstill(time.monotonic()) is not None
        partition.ledger.pass_to(10_000)
        await ownership.give_up(Deadline(1.0))
    assert publisher.claimed == [0, 10_000]
    assert context.progress.standstill(time.monotonic()) is None


async def test_a_suspect_that_is_given_away_while_it_proves_itself_keeps_what_was_in_flight() -> None:
    """Its messages are dropped with it, so what follows the last one admitted is nobody's offset to go on."""

    def give_away() -> None:
        ownership.partitions[PLACE].close()

    together, alone = Recorded("together", lambda: None), Recorded("alone", give_away)

    async def open_publisher(membership: Membership, number: int) -> Recorded:
        return alone if number else together

    context = context_of(open_publisher, suspects={PLACE})
    ownership = Ownership(Membership("group", "member", 1), [PLACE], context)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        ownership.start(tasks)
        partition = ownership.partitions[PLACE]
        await until(lambda: partition.state.admits)
        message = Message(text="at last")
        in_flight = entry(1, emotion(), message)
        in_flight.outcome = None
        for one in (entry(0, emotion(), message), in_flight):
            partition.ledger.enter(one)
        partition.notify()
        await until(lambda: alone.committed != [] and not context.suspects)
        await ownership.close(Deadline(1.0))
    assert (alone.claimed, alone.committed) == ([0], [1])
    assert together.claimed == [0]
