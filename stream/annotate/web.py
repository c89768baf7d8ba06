"""The annotator's own endpoints: ``/metrics`` (Prometheus), ``/healthz`` (live) and ``/readyz``."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from stream.errors import SettingsError

Check = Callable[[], str | None]
"""What is wrong, in one line; None when nothing is."""


@asynccontextmanager
async def endpoints(
    host: str, port: int, registry: CollectorRegistry, *, health: Check, ready: Check
) -> AsyncIterator[int]:
    """Serve until the block is left; gives the port, which is a free one for ``port`` 0.

    Raises:
        SettingsError: the address is taken.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", _answer(health))
    app.router.add_get("/readyz", _answer(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be served ({error.strerror}): set http_port to a free one"
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        wrong = check()
        return web.json_response(
            {"status": "ok"} if wrong is None else {"status": "failing", "reason": wrong},
            status=200 if wrong is None else 503,
        )

    return handler
