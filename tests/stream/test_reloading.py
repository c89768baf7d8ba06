"""Asking for another model never ends a program that does not hear it yet."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream.annotate.shares import Share
from stream.annotate.supervisor import Supervisor
from stream.settings import Settings
from tests.crash.annotators import wait_until

LISTENS_LATE = """
import pathlib, sys, time
pathlib.Path({begun!r}).touch()
time.sleep(0.5)
sys.exit(0 if sys.stdin.readline() == "reload\\n" else 9)
"""
ASKED_BEFORE = """
import asyncio, os, signal
from stream.reloading import hold_reload, on_reload

async def main():
    heard = asyncio.Event()
    on_reload(heard.set)
    await asyncio.wait_for(heard.wait(), 10)

hold_reload()
os.kill(os.getpid(), signal.SIGHUP)
asyncio.run(main())
"""


async def test_a_worker_that_is_being_started_hears_its_parent_once_it_listens(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = LISTENS_LATE.format(begun=str(begun))
    share = Share(index=0, device="cpu", threads=1, http_port=None, client_id="worker-0")
    supervisor = Supervisor(Settings(), [share], [sys.executable, "-c", script])
    running = asyncio.create_task(supervisor.run())
    await asyncio.to_thread(wait_until, begun.exists, 30, "the worker to begin")
    supervisor.reload()
    assert await running == 0


async def test_a_worker_that_is_asked_before_its_start_is_over_is_told_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec

    async def asked_meanwhile(*command: str, **options: Any) -> asyncio.subprocess.Process:
        started = await start(*command, **options)
        supervisor.reload()
        return started

    monkeypatch.setattr(asyncio, "create_subprocess_exec", asked_meanwhile)
    script = LISTENS_LATE.format(begun=str(tmp_path / "begun"))
    share = Share(index=0, device="cpu", threads=1, http_port=None, client_id="worker-0")
    supervisor = Supervisor(Settings(), [share], [sys.executable, "-c", script])
    async with asyncio.timeout(10):
        assert await supervisor.run() == 0


def test_sighup_waits_until_there_is_a_model_to_exchange() -> None:
    subprocess.run([sys.executable, "-c", ASKED_BEFORE], check=True, timeout=30)
