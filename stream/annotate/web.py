"""The annotator's own endpoints: ``/metrics`` (Prometheus), ``/healthz`` (live) and ``/readyz``."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from stream.serving import json_answer, serving
from stream.settings import Settings

Check = Callable[[], str | None]
"""What is wrong, in one line; None when nothing is."""


def endpoints(
    settings: Settings, registry: CollectorRegistry, *, health: Check, ready: Check
) -> AbstractAsyncContextManager[int]:
    """Serve until the block is left (``stream.serving``); gives the port.

    Raises:
        SettingsError: the address is taken, or would be open to a network.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    routes = [
        web.get("/metrics", metrics),
        web.get("/healthz", _answer(health)),
        web.get("/readyz", _answer(ready)),
    ]
    return serving(settings, routes)


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        wrong = check()
        return json_answer(
            {"status": "ok"} if wrong is None else {"status": "failing", "reason": wrong},
            200 if wrong is None else 503,
        )

    return handler
