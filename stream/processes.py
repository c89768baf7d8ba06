"""Commands of ours as processes of their own beside a person's command, told by variables where to work."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from pydantic import SecretStr

from stream.guarded import end, launched
from stream.settings import Settings
from stream.sources import ENV_PREFIX, variable_name

STOP_TIMEOUT_S: Final = 15.0
START_TIMEOUT_S: Final = 20.0


class Beside:
    """A running command of ours."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[str]) -> None:
        self._process = process
        self._log = log

    @property
    def problem(self) -> str | None:
        """Why it has ended, in one line; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        lines = self._said().strip().splitlines()
        return f"it ended with exit code {code}: {lines[-1] if lines else 'it said nothing'}"

    @property
    def exit_code(self) -> int | None:
        """What it has ended with, as a shell has it; None while it runs."""
        return self._process.poll()

    async def ended(self) -> None:
        """Wait until it has ended."""
        await asyncio.to_thread(self._process.wait)

    async def address(self) -> str | None:
        """The address that it says it serves, once it has; None where it ends or stays silent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while self._process.poll() is None:
                    for line in self._said().splitlines(keepends=True):
                        if line.startswith("http://") and line.endswith("\n"):
                            return line.strip()
                    await asyncio.sleep(0.1)
        return None

    async def stop(self) -> None:
        """End it, with time to write what it has to."""
        await asyncio.to_thread(end, self._process, STOP_TIMEOUT_S)

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()


@asynccontextmanager
async def beside(command: str, settings: Settings, folder: Path) -> AsyncIterator[Beside]:
    """A command of ours with these settings while the block runs; its log goes into ``folder``, a temporary
    one, which is deleted once it has ended.
    """
    log_file = folder / f"{command}.log"
    with log_file.open("wb") as output, log_file.open(errors="replace") as log:
        process = launched(
            *(sys.executable, "-m", "stream.cli", command),
            output=output,
            folder=folder,  # where no settings file lies: all that counts is in the variables
            scratch=folder,
            variables=_without_settings(os.environ) | environment_of(settings),
        )
        running = Beside(process, log)
        try:
            yield running
        finally:
            await running.stop()


def environment_of(settings: Settings) -> dict[str, str]:
    """Variables under which another process has the same settings; those at their default are left out."""
    return {
        variable_name(name): _as_variable(getattr(settings, name))
        for name, field in Settings.model_fields.items()
        if getattr(settings, name) != field.default
    }


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(ENV_PREFIX)}


def _as_variable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    if isinstance(value, Path):
        return str(value.absolute())  # the other process has another working directory
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)
