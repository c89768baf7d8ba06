"""A dashboard as people use it: the program, a broker that can be stopped, and a real browser before it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from stream.admin import create_topics
from stream.broker import EmbeddedBroker
from stream.settings import Settings
from tests.brokers import free_port
from tests.stream.dashboard.scene import whole, write

CHROMIUM: Final = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
ROOT: Final = Path(__file__).parents[3]


def in_thread(work: Callable[[], Any]) -> Any:
    """Run an event loop's work from a test whose thread belongs to the browser's driver."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


@dataclass
class Stage:
    """A broker on a fixed port that keeps its records, and the dashboard that reads topics of one prefix."""

    folder: Path
    topic_prefix: str = "emotions"
    port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    address: str = ""
    _is_filled: bool = False
    _broker: EmbeddedBroker | None = None
    _dashboard: subprocess.Popen[str] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(
            bootstrap_servers=f"127.0.0.1:{self.port}",
            topic_prefix=self.topic_prefix,
            partitions=2,
            dashboard_port=0,
            model="fake",
        )

    def start_broker(self) -> None:
        self._broker = EmbeddedBroker(self.folder, port=self.port)
        self._broker.__enter__()

    def stop_broker(self) -> None:
        if self._broker is not None:
            self._broker.__exit__(None, None, None)
            self._broker = None

    def start(self) -> None:
        self.start_broker()
        self.open()

    def open(self) -> None:
        in_thread(lambda: create_topics(self.settings))
        self._dashboard, self.address = self._start_dashboard(EMOTION_HTTP_PORT=str(self.http_port))

    @contextmanager
    def another(self) -> Iterator["Stage"]:
        """A stage on the same broker, with topics and a dashboard of its own."""
        made = Stage(self.folder, f"emotions-{uuid4().hex[:8]}", port=self.port)
        try:
            made.open()
            yield made
        finally:
            made.stop()

    @contextmanager
    def one_more(self, **environment: str) -> Iterator[str]:
        """Another dashboard of the same stream; gives its address."""
        process, address = self._start_dashboard(**environment)
        try:
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=20)

    def _start_dashboard(self, **environment: str) -> tuple[subprocess.Popen[str], str]:
        environment |= {
            "EMOTION_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.port}",
            "EMOTION_TOPIC_PREFIX": self.topic_prefix,
            "EMOTION_MODEL": "fake",
            "EMOTION_DASHBOARD_PORT": "0",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "dashboard"],
            env=os.environ | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def stop(self) -> None:
        if self._dashboard is not None:
            self._dashboard.terminate()
            self._dashboard.communicate(timeout=20)
        self.stop_broker()

    def write(self, records: Iterable[tuple[str, bytes, bytes | None]]) -> None:
        in_thread(lambda: write(self.settings, list(records)))

    def fill(self) -> None:
        """Write the scene, once."""
        if not self._is_filled:
            self._is_filled = True
            self.write(whole(self.settings, datetime.now(UTC)))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def filled(stage: Stage) -> Stage:
    """The stage with the scene on it and what other tests add to that; none of them reviews its alerts."""
    stage.fill()
    return stage


@pytest.fixture
def apart(stage: Stage) -> Iterator[Stage]:
    """A stage of the test's own, still empty."""
    with stage.another() as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, headless, driven by Playwright, which downloads none.

    Its driver runs an event loop in this thread, so it must be gone before tests with loops of their own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, stage: Stage) -> Iterator[Callable[..., Any]]:
    """Open a view: ``visit("review", width=390, dark=True)``, of the shared stage unless another is named.

    A complaint of the browser fails the test.
    """
    contexts: list[Any] = []
    complaints: list[str] = []

    def hear(said: Any) -> None:
        if "Content Security" in said.text:
            complaints.append(said.text)

    def open_view(
        view: str = "watch",
        *,
        on: Stage = stage,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(60_000)  # a machine may be busy
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", hear)
        page.goto(f"{on.address}/#{view}")
        page.wait_for_selector('#state:not([data-state="loading"])')
        return page

    yield open_view
    for context in contexts:
        context.close()
    assert not complaints


def eventually(check: Callable[[], bool], timeout_s: float = 60.0, *, page: Any = None) -> None:
    """Wait until something holds. The routes of ``page`` are heard meanwhile; while we sleep, none is."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it did not come about"
        if page is None:
            time.sleep(0.1)
        else:
            page.wait_for_timeout(100)
