"""Commands that are told to end by a signal put away what they have made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.settings import Settings
from tests.conftest import Topics
from tests.records import read_committed_all
from tests.stream import commands

DEADLINE_S = 30.0


@contextmanager
def starting_demo(tmp_path: Path, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that has started its monitor, and still loads its model. Its temporary files are in a folder."""
    command = [*before, sys.executable, "-m", "stream.cli", "demo", "--no-dashboard"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + DEADLINE_S
        while not list(tmp_path.glob("emotion-stream-monitor-*/monitor.log")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        yield process


def is_left_by_all(tmp_path: Path) -> bool:
    """Whether nothing is left, or not for long: what was just being started ends with its standard input."""
    deadline = time.monotonic() + DEADLINE_S
    while programs_with(tmp_path) or list(tmp_path.glob("emotion-stream-*")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def programs_with(tmp_path: Path) -> list[bytes]:
    """What runs with temporary files in ``tmp_path``."""
    mark, found = f"TMPDIR={tmp_path}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue  # it has ended meanwhile
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks for programs in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_at_its_start_leaves_no_program_and_no_folder(
    number: signal.Signals, tmp_path: Path
) -> None:
    with starting_demo(tmp_path) as process:
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == -number
    assert is_left_by_all(tmp_path)


def test_it_ends_by_the_signal_also_where_it_was_started_without_an_output(tmp_path: Path) -> None:
    with starting_demo(tmp_path, "/bin/sh", "-c", 'exec "$@" >&-', "sh") as process:
        process.terminate()
        assert process.wait(DEADLINE_S) == -signal.SIGTERM
    assert list(tmp_path.glob("emotion-stream-*")) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks for programs in /proc")
def test_measured_engines_end_with_the_command_that_measures_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with commands.start("bench", "model", "--engine", "int8", "--rounds", "1000") as process:
        deadline = time.monotonic() + DEADLINE_S
        while not any(b"stream.bench.engines" in program for program in programs_with(tmp_path)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == -signal.SIGTERM
    assert is_left_by_all(tmp_path)


def producing(number: signal.Signals, settings: Settings) -> subprocess.Popen[str]:
    """A ``produce`` that waits for lines, started where ``number`` is ignored."""
    before = signal.signal(number, signal.SIG_IGN)  # what children begin with
    try:
        return commands.start("produce", "-", "--format", "text", settings=settings, stdin=subprocess.PIPE)
    finally:
        signal.signal(number, before)


async def sent(process: subprocess.Popen[str], settings: Settings) -> None:
    """Have it send a line, and wait until that is there."""
    assert process.stdin is not None
    assert settings.bootstrap_servers is not None
    process.stdin.write("first\n")
    process.stdin.flush()
    while not await read_committed_all(settings.bootstrap_servers, settings.input_topic):
        assert process.poll() is None


async def test_sigterm_is_heard_where_a_script_has_made_ctrl_c_deaf(topics: Topics) -> None:
    settings = await topics()
    with producing(signal.SIGINT, settings) as process:
        await sent(process, settings)
        process.terminate()
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == -signal.SIGTERM
    assert stdout.startswith("sent 1 messages")
    assert stderr == ""


async def test_a_hang_up_that_is_ignored_as_under_nohup_stays_so(topics: Topics) -> None:
    settings = await topics()
    with producing(signal.SIGHUP, settings) as process:
        await sent(process, settings)
        process.send_signal(signal.SIGHUP)
        stdout, stderr = process.communicate("second\n", timeout=DEADLINE_S)
        assert process.returncode == 0
    assert stdout.startswith("sent 2 messages")
    assert stderr == ""
