"""The watchdog: lag without progress is a stall, silence is not."""

from stream.annotate.progress import Progress


def test_no_lag_is_never_a_stall() -> None:
    progress = Progress(stall_timeout_s=60, last_at=0.0)
    assert not progress.stalled(now=1_000_000.0)


def test_lag_without_progress_becomes_a_stall_at_the_timeout() -> None:
    progress = Progress(stall_timeout_s=60, last_at=0.0)
    progress.lag_messages = {0: 3, 1: 0}
    assert not progress.stalled(now=59.9)
    assert progress.stalled(now=60.0)


def test_one_finished_message_starts_the_clock_again() -> None:
    progress = Progress(stall_timeout_s=60, last_at=0.0)
    progress.lag_messages = {0: 3}
    progress.note(50.0, messages=1)
    assert progress.stalled_for_s(now=70.0) == 20.0
    assert progress.finished_messages == 1
