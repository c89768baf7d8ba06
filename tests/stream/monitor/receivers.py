"""Receivers of alerts that run for real: an HTTP server that may be slow or refuse, and an Alertmanager."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.brokers import free_port


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """Takes posts; ``answer`` gives each its status by its number. With ``holds`` it does not answer."""

    url: str = ""
    answer: Callable[[int], int] = lambda _: 204
    holds: bool = False
    taken: list[Received] = field(default_factory=list)
    attempts: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def _handle(self, request: web.Request) -> web.Response:
        status = self.answer(self.attempts)
        self.attempts += 1
        if self.holds:
            await self.released.wait()
        if status < 300:
            self.taken.append(Received(dict(request.headers), await request.read()))
        return web.Response(status=status)


@asynccontextmanager
async def on_loopback(app: web.Application) -> AsyncIterator[str]:
    """Serves an application on the loopback address; gives its URL."""
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def http_receiver(**options: Any) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver(**options)
    app = web.Application()
    app.router.add_post("/alerts", receiver._handle)
    async with on_loopback(app) as url:
        receiver.url = f"{url}/alerts"
        try:
            yield receiver
        finally:
            receiver.released.set()


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[str]:
    """A Prometheus Alertmanager on the loopback address; gives its URL."""
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if binary is None:
        pytest.skip("no Alertmanager here: apt-get install prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "alertmanager.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
            stdout=log,
            stderr=log,
        )
    try:
        await _until_ready(url)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
