"""Running commands in tests: in this process, or as a program of its own."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner, Result

from stream.cli import root
from stream.settings import Settings

ROOT = Path(__file__).parent.parent.parent
_TAKEN_FROM_SETTINGS = ("bootstrap_servers", "input_topic", "topic_prefix", "group_id", "partitions")


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a command use the broker, the topics and the group of a test."""
    return {f"EMOTION_{name.upper()}": str(getattr(settings, name)) for name in _TAKEN_FROM_SETTINGS}


def run(*arguments: Any, settings: Settings | None = None, stdin: bytes | str | None = None) -> Result:
    """Run a command in this process, and put the logging back that the test session had."""
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    try:
        return CliRunner().invoke(
            root,
            [str(argument) for argument in arguments],
            input=stdin,
            env=environment(settings) if settings else None,
            prog_name="emotion-stream",
        )
    finally:
        logging.getLogger().handlers = handlers
        logging.getLogger().setLevel(level)
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)
        structlog.reset_defaults()


async def run_beside(
    *arguments: Any, settings: Settings | None = None, stdin: bytes | str | None = None
) -> Result:
    """As ``run``, from a test that has an event loop itself."""
    return await asyncio.to_thread(run, *arguments, settings=settings, stdin=stdin)


def write(name: str, content: str) -> None:
    """Write a file into the working directory, which is the test's own."""
    Path(name).write_text(content, encoding="utf-8")


def start(
    *arguments: Any,
    settings: Settings | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a command as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream.cli", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment(settings) if settings else {}),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(*arguments: Any, settings: Settings | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a program of its own, to its end."""
    with start(*arguments, settings=settings) as process:
        try:
            stdout, stderr = process.communicate(timeout=50)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
