"""The watchdog: a partition whose messages wait and are not committed stands still; silence does not."""

from stream.annotate.progress import Progress


def watching(*partitions: int, now: float = 0.0) -> Progress:
    progress = Progress(stall_timeout_s=60)
    progress.assigned(now, frozenset(partitions))
    return progress


def test_no_lag_is_never_a_stall() -> None:
    progress = watching(0)
    progress.observed(1.0, 0, lag=0)
    assert progress.stall(now=1_000_000.0) is None


def test_lag_without_a_commit_becomes_a_stall_at_the_timeout() -> None:
    progress = watching(0)
    progress.observed(0.0, 0, lag=3)
    assert progress.stall(now=59.9) is None
    assert str(progress.stall(now=60.0)) == "partition 0: 3 messages wait and none was finished for 60 s"


def test_a_commit_starts_the_clock_again() -> None:
    progress = watching(0)
    progress.observed(0.0, 0, lag=3)
    progress.committed(50.0, 0, messages=1)
    assert progress.stall(now=109.0) is None
    assert progress.stall(now=110.0) is not None
    assert progress.finished_messages == 1


def test_one_partition_stands_still_while_others_move() -> None:
    progress = watching(0, 1)
    for now in range(0, 70, 10):
        progress.observed(now, 0, lag=100)
        progress.committed(now, 0, messages=50)
        progress.observed(now, 1, lag=1)
    stall = progress.stall(now=65.0)
    assert stall is not None
    assert stall.partition == 1


def test_joining_the_group_again_is_no_progress() -> None:
    progress = watching(0)
    progress.observed(0.0, 0, lag=3)
    for now in range(5, 60, 5):
        progress.assigned(now, frozenset({0}))
    assert progress.stall(now=60.0) is not None


def test_a_partition_whose_lag_is_never_learnt_stands_still() -> None:
    """A take-over that fails each time, or a batch that cannot be read."""
    progress = watching(0)
    progress.assigned(30.0, frozenset({0}))
    stall = progress.stall(now=60.0)
    assert stall is not None
    assert stall.messages is None


def test_a_partition_that_somebody_else_has_is_none_of_ours() -> None:
    progress = watching(0, 1)
    progress.observed(0.0, 0, lag=3)
    progress.observed(0.0, 1, lag=0)
    progress.assigned(10.0, frozenset({1}))
    progress.observed(10.0, 0, lag=3)  # a late answer
    progress.observed(10.0, 1, lag=0)
    assert progress.lag == 0
    assert progress.stall(now=1_000.0) is None


def test_partitions_that_are_lost_with_the_broker_keep_their_clock() -> None:
    progress = watching(0)
    progress.observed(0.0, 0, lag=190)
    assert progress.stall(now=60.0) is not None, "nothing is assigned any more, and nobody else has it"


def test_what_waited_in_a_topic_that_has_gone_waits_no_more() -> None:
    progress = watching(0)
    progress.observed(0.0, 0, lag=190)
    progress.forget()
    assert progress.stall(now=1_000.0) is None


def test_a_partition_that_waits_for_what_a_restart_cannot_bring_back_is_excused() -> None:
    progress = Progress(10)
    progress.assigned(0, frozenset({0, 1}))
    progress.observed(0, 0, 5)
    progress.observed(0, 1, 5)
    progress.excused(9, 0)
    stall = progress.stall(10)
    assert stall is not None
    assert stall.partition == 1
    progress.committed(10, 1, 5)
    progress.observed(10, 1, 0)
    assert progress.stall(18) is None
    assert progress.stall(19) is not None, "excused no more"
