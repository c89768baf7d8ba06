"""The pictures in README and docs, made anew from the scene of the tests.

    python -m tests.stream.dashboard.screenshots [docs/images]

Needs Chromium (``CHROMIUM`` names another than Debian's) and the shipped weights.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from stream.admin import create_topics
from stream.broker import EmbeddedBroker
from stream.dashboard.app import running
from stream.settings import Settings
from tests.stream.dashboard.conftest import CHROMIUM
from tests.stream.dashboard.scene import TEXTS, event, leave_waiting, of_event, whole, write

SETTLE_MS: Final = 1500
ANGRY: Final = "Still no parcel, and nobody answers me!!"


def _alert(page: Page) -> None:
    page.click(".row.alert")
    page.wait_for_selector("#picture canvas")


def _try(page: Page) -> None:
    page.fill("#try-text", ANGRY)
    page.click("#try-form button[type=submit]")
    page.wait_for_selector(".verdict-line")


def _cause(page: Page) -> None:
    page.click(".row.alert >> text=billing")
    page.wait_for_selector("#picture canvas")
    page.check("#together")
    page.mouse.wheel(0, -9000)


def _wall(page: Page) -> None:
    page.click("#wall")


Act = Callable[[Page], None]
PICTURES: Final[tuple[tuple[str, str, tuple[int, int], str, Act | None], ...]] = (
    ("dashboard-watch", "watch", (1440, 1000), "light", None),
    ("dashboard-review", "review", (1440, 1150), "light", _alert),
    ("dashboard-cause", "review", (1440, 1000), "light", _cause),
    ("dashboard-try", "try", (1440, 760), "light", _try),
    ("dashboard-wall", "watch", (1920, 1080), "dark", _wall),
    ("dashboard-phone", "review", (390, 1200), "dark", _alert),
)


async def _serve(address: list[str], ready: Event, stop: Event) -> None:
    with EmbeddedBroker() as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=4, dashboard_port=0)
        await create_topics(settings)
        await write(settings, whole(settings, datetime.now(UTC)))
        await leave_waiting(settings, 12)
        async with running(settings) as started:
            address.append(started.address)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.4)
                now = datetime.now(UTC)
                labels = ("neutral", "joy", "anger", "neutral", "sadness", "love")
                label, n = labels[now.second % len(labels)], 20_000 + int(now.timestamp() * 10) % 10_000
                await write(settings, [of_event(settings, event(n, now, label, text=TEXTS[label]))])


def _shoot(address: str, folder: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, view, (width, height), scheme, act in PICTURES:
            options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            context = browser.new_context(**options, locale="en-GB")
            page = context.new_page()
            page.goto(f"{address}/#{view}")
            page.wait_for_selector('#state[data-state="live"]')
            if act is not None:
                act(page)
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=folder / f"{name}.png")
            context.close()
        browser.close()


def main() -> None:
    """Make all pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    address, ready, stop = list[str](), Event(), Event()
    serving = Thread(target=lambda: asyncio.run(_serve(address, ready, stop)))
    serving.start()
    try:
        ready.wait(60)
        _shoot(address[0], folder)
    finally:
        stop.set()
        serving.join()


if __name__ == "__main__":
    main()
