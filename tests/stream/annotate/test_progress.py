"""The watchdog: a partition whose messages wait and are not committed stands still; silence does not."""

from stream.annotate.progress import Place, Progress

A, B = ("messages", 0), ("messages", 1)


def watching(*partitions: Place, now: float = 0.0) -> Progress:
    progress = Progress(stall_timeout_s=60)
    progress.assigned(now, frozenset(partitions))
    return progress


def test_no_lag_is_never_a_stall() -> None:
    progress = watching(A)
    progress.observed(1.0, A, lag=0)
    assert progress.stall(now=1_000_000.0) is None


def test_lag_without_a_commit_becomes_a_stall_at_the_timeout() -> None:
    progress = watching(A)
    progress.observed(0.0, A, lag=3)
    assert progress.stall(now=59.9) is None
    assert (
        str(progress.stall(now=60.0))
        == "messages, partition 0: 3 messages wait and none was finished for 60 s"
    )


def test_a_commit_starts_the_clock_again() -> None:
    progress = watching(A)
    progress.observed(0.0, A, lag=3)
    progress.committed(50.0, A, messages=1)
    assert progress.stall(now=109.0) is None
    assert progress.stall(now=110.0) is not None
    assert progress.finished_messages == 1


def test_one_partition_stands_still_while_others_move() -> None:
    progress = watching(A, B)
    for now in range(0, 70, 10):
        progress.observed(now, A, lag=100)
        progress.committed(now, A, messages=50)
        progress.observed(now, B, lag=1)
    stall = progress.stall(now=65.0)
    assert stall is not None
    assert stall.place == B


def test_joining_the_group_again_is_no_progress() -> None:
    progress = watching(A)
    progress.observed(0.0, A, lag=3)
    for now in range(5, 60, 5):
        progress.assigned(now, frozenset({A}))
    assert progress.stall(now=60.0) is not None


def test_a_partition_whose_lag_is_never_learnt_stands_still() -> None:
    """A take-over that fails each time, or a batch that cannot be read."""
    progress = watching(A)
    progress.assigned(30.0, frozenset({A}))
    stall = progress.stall(now=60.0)
    assert stall is not None
    assert stall.messages is None


def test_a_partition_that_somebody_else_has_is_none_of_ours() -> None:
    progress = watching(A, B)
    progress.observed(0.0, A, lag=3)
    progress.observed(0.0, B, lag=0)
    progress.assigned(10.0, frozenset({B}))
    progress.observed(10.0, A, lag=3)  # a late answer
    progress.observed(10.0, B, lag=0)
    assert progress.lag_messages == {B: 0}
    assert progress.stall(now=1_000.0) is None


def test_partitions_that_are_lost_with_the_broker_keep_their_clock() -> None:
    progress = watching(A)
    progress.observed(0.0, A, lag=190)
    assert progress.stall(now=60.0) is not None, "nothing is assigned any more, and nobody else has it"


def test_what_waited_in_a_topic_that_has_gone_waits_no_more() -> None:
    other = ("chat", 0)
    progress = watching(A, other)
    progress.observed(0.0, A, lag=190)
    progress.observed(10.0, other, lag=1)
    progress.forget({"messages"})
    assert progress.lag_messages == {other: 1}
    stall = progress.stall(now=1_000.0)
    assert stall is not None
    assert stall.place == other


def test_a_partition_that_waits_for_what_a_restart_cannot_bring_back_is_excused() -> None:
    progress = Progress(10)
    progress.assigned(0, frozenset({A, B}))
    progress.observed(0, A, 5)
    progress.observed(0, B, 5)
    progress.excused(9, A)
    stall = progress.stall(10)
    assert stall is not None
    assert stall.place == B
    progress.committed(10, B, 5)
    progress.observed(10, B, 0)
    assert progress.stall(18) is None
    assert progress.stall(19) is not None, "excused no more"


def test_who_has_no_partition_has_to_go_on_polling() -> None:
    progress = Progress(stall_timeout_s=60, session_timeout_s=10)
    assert progress.standstill(now=1_000.0) is None, "nothing has begun"
    progress.polled(1_000.0)
    progress.assigned(1_001.0, frozenset())
    assert progress.standstill(now=1_069.9) is None
    assert (
        progress.standstill(now=1_070.0)
        == "the consumer has not been polled as a member of its group for 70 s"
    )
    progress.polled(1_070.0)
    assert progress.standstill(now=1_070.0) is None


def test_a_partition_that_stands_still_is_named_though_polling_goes_on() -> None:
    progress = watching(A)
    progress.observed(0.0, A, lag=3)
    progress.polled(60.0)
    assert progress.standstill(now=60.0) == str(progress.stall(now=60.0))
