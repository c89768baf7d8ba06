"""Commands of ours beside a person's: they say why they ended, and never outlive whoever started them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stream.processes import beside
from stream.settings import Settings
from tests.test_imports import ROOT

NOBODY = "127.0.0.1:1"
"""Where no broker answers: a dashboard waits for one."""
START_AND_WAIT = f"""
import asyncio, pathlib, tempfile
from stream.processes import beside
from stream.settings import Settings

async def main():
    settings = Settings(bootstrap_servers="{NOBODY}", dashboard_port=0)
    async with beside("dashboard", settings, pathlib.Path(tempfile.mkdtemp())):
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_one_ends_with_whoever_started_it_also_where_that_was_killed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", START_AND_WAIT], env=environment) as parent:
        until(lambda: any(log.stat().st_size for log in tmp_path.glob("*/dashboard.log")))
        parent.send_signal(signal.SIGKILL)
    until(lambda: not list(tmp_path.iterdir()))  # which is deleted once the dashboard has ended


async def test_one_whose_start_is_broken_off_has_ended_too(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()

    async def started() -> None:
        async with beside("dashboard", Settings(bootstrap_servers=NOBODY, dashboard_port=0), folder):
            await asyncio.sleep(60)

    starting = asyncio.create_task(started())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting], timeout=30)
    assert starting.cancelled()
    assert not folder.exists()


async def test_one_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    settings = Settings(bootstrap_servers=NOBODY, http_port=None, start_timeout_s=0.1, state_dir=folder)
    async with beside("monitor", settings, folder) as monitor:
        assert await monitor.address() is None
        assert monitor.problem is not None
        assert monitor.problem.startswith("it ended with exit code 3: ")
        assert NOBODY in monitor.problem
    assert not folder.exists()


def until(happened: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
