"""What a program that waits for its brokers answers to probes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from stream.serving import json_answer, serving
from stream.settings import Settings


@asynccontextmanager
async def waiting_served(settings: Settings) -> AsyncIterator["Waiting"]:
    """Serve the endpoints of a program that waits while the block runs, as ``stream.serving.serving``."""
    waiting = Waiting()
    async with serving(settings, waiting.routes):
        yield waiting


class Waiting:
    """Live and not ready, for ``reason``."""

    def __init__(self) -> None:
        self.reason = ""
        self.routes = [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)]

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_answer({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        return json_answer({"status": "not ready", "reason": self.reason}, 503)
