"""A process that was told to end and hangs is ended, with the exit code of what ended it."""

import subprocess
import sys
import threading

import pytest

from stream.errors import BrokerError, StalledError, StreamError
from stream.lastresort import LastResort, exit_code_of, stop_limit_s
from tests.stream.commands import ROOT

HANGS = """
import time
from stream.errors import StalledError
from stream.lastresort import LastResort

LastResort(0.1).begin(StalledError("stands still"))
time.sleep(600)
"""


class End:
    """What stands for the end of the process."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self._came = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self._came.set()

    def wait(self) -> list[int]:
        assert self._came.wait(30)
        return self.codes


def test_it_ends_the_process_with_the_code_of_the_first_error() -> None:
    end = End()
    last_resort = LastResort(0.05, end)
    last_resort.begin()
    last_resort.begin(StalledError("stands still"))
    last_resort.begin(BrokerError("and gone"))
    assert end.wait() == [StalledError.exit_code]


def test_a_process_that_waits_for_ever_is_gone() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], cwd=ROOT, timeout=60, capture_output=True)
    assert ended.returncode == StalledError.exit_code
    assert b"it is ended" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, StreamError.exit_code), (ValueError("a fault"), StreamError.exit_code), (StalledError("x"), 5)],
)
def test_to_hang_in_the_end_is_no_success(error: BaseException | None, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_end_in_order_has_the_time_that_it_may_take() -> None:
    assert stop_limit_s(5.0) == 20.0
