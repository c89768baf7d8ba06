"""The web servers of both programs: who may ask, by which name, and for how long a connection may do nothing.

    connection ─► limits ─► Host known? ─► token? ─► handler ─► answer, errors as JSON

What they show (alerts, counters, names of channels) is about people. On the loopback address it is open to
whoever is on the machine; anywhere else a token is asked for, and there is no starting without one. Only
``/healthz`` and ``/readyz`` stay open, since what probes a process seldom has its secrets; they show
whether it works. Host is checked against DNS rebinding: a page in a browser can reach a loopback server under
the page's own name, never under a number.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import math
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from stream.cloudevents import to_json
from stream.errors import SettingsError
from stream.settings import Settings

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
REQUEST_TIMEOUT_S: Final = 10.0
"""From a connection's opening to the end of its first answer, and from a request's begin to its end."""

IDLE_TIMEOUT_S: Final = 30.0
"""How long a connection waits for a further request."""

MAX_CONNECTIONS: Final = 128
MAX_LINE_BYTES: Final = 16_384
"""Names are up to 1,024 characters, of which each may take twelve in an address."""
MAX_FIELD_BYTES: Final = 8190
_SWEEP_S: Final = 0.5
_MAX_DIGITS: Final = 12
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_CHALLENGE: Final = 'Bearer, Basic realm="emotion-stream", charset="UTF-8"'
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask. ``token`` is None where everybody on the machine may."""

    hosts: frozenset[str]
    token: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Access":
        """What the settings say.

        Raises:
            SettingsError: the server would answer the network without a token.
        """
        token = settings.http_token.get_secret_value().encode() if settings.http_token else None
        if token is None and not _is_loopback(settings.http_host):
            raise SettingsError(
                f"http_host {settings.http_host} would show alerts and metrics to everybody who reaches it: "
                "set EMOTION_HTTP_TOKEN, or http_host 127.0.0.1"
            )
        named = (host.strip().lower() for host in (settings.http_hosts or "").split(","))
        names = {"localhost", settings.http_host.lower(), socket.gethostname().lower(), *named}
        return cls(frozenset(names - {""}), token)

    def knows(self, host: str) -> bool:
        """Whether the header Host names us: a number always does, a name only where it is ours."""
        matched = _HOST.fullmatch(host)
        if matched is None:
            return False
        name = matched[1].strip("[]").rstrip(".").lower()
        return name in self.hosts or _address(name) is not None

    def admits(self, authorization: str) -> bool:
        """Whether the token is given: as Bearer, or, by a browser, as the password of Basic (RFC 7617)."""
        if self.token is None:
            return True
        scheme, _, value = authorization.partition(" ")
        given = value.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given, self.token)


@asynccontextmanager
async def serving(settings: Settings, routes: Iterable[web.AbstractRouteDef]) -> AsyncIterator[int]:
    """Serve until the block is left; gives the port, which is a free one for ``http_port`` 0.

    Raises:
        SettingsError: the address is taken, or would be open to a network.
    """
    connections = Connections(MAX_CONNECTIONS, REQUEST_TIMEOUT_S)
    app = web.Application(
        middlewares=[connections.middleware, _errors_as_json, _guard(Access.of(settings))], client_max_size=1
    )
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=IDLE_TIMEOUT_S,
        lingering_time=0.0,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_FIELD_BYTES,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    sweep = asyncio.create_task(connections.watch(runner), name="connections")
    try:
        yield await listen(runner, settings.http_host, settings.http_port or 0, "http")
    finally:
        sweep.cancel()
        with suppress(asyncio.CancelledError):
            await sweep
        await runner.cleanup()


async def listen(runner: web.AppRunner, host: str, port: int, section: str) -> int:
    """Serve at an address; gives the port, which is a free one for 0.

    Raises:
        SettingsError: it cannot be served; the settings are ``section`` with _host and _port.
    """
    try:
        await web.TCPSite(runner, host, port).start()
    except UnicodeError as error:
        raise SettingsError(f"{section}_host {host!r} is no name of a host ({error})") from error
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be served ({error.strerror}): set {section}_port to a free one"
        ) from error
    chosen: int = runner.addresses[0][1]
    return chosen


def json_answer(value: Any, status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(body=to_json(value), status=status, content_type="application/json")


def parameters(request: web.Request, known: Collection[str]) -> dict[str, str]:
    """The parameters of the query.

    Raises:
        HTTPBadRequest: one is not known, or is given twice.
    """
    given = request.query
    if unknown := sorted(set(given) - set(known)):
        names = ", ".join(sorted(known)) or "none"
        raise web.HTTPBadRequest(text=f"no parameter {unknown[0][:40]!r} is known here: {names}")
    for name in given:
        if len(given.getall(name)) > 1:
            raise web.HTTPBadRequest(text=f"{name} is given twice")
    return dict(given)


def whole_number(given: dict[str, str], name: str, *, least: int, most: int) -> int | None:
    """A parameter as a number; None where it is not given.

    Raises:
        HTTPBadRequest: it is no whole number from ``least`` to ``most``.
    """
    text = given.get(name)
    if text is None:
        return None
    # isdigit() alone takes "²", which int() does not.
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and least <= int(text) <= most:
        return int(text)
    raise web.HTTPBadRequest(text=f"{name} must be a whole number from {least} to {most}")


def one_of(given: dict[str, str], name: str, choices: Collection[str]) -> str | None:
    """A parameter that is one of ``choices``; None where it is not given.

    Raises:
        HTTPBadRequest: it is something else.
    """
    text = given.get(name)
    if text is None or text in choices:
        return text
    raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(choices)}")


class Connections:
    """Closes connections that do not get on: half a request, an answer that nobody reads, nothing at all.

    At most ``most`` are kept; an answer may take ``answer_s``. One that streams for as long as it is read
    says so (``goes_on``), and looks after its reader itself.
    """

    def __init__(self, most: int, answer_s: float) -> None:
        self._most = most
        self._answer_s = answer_s
        self._due_at: dict[Any, float] = {}

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
            loop = asyncio.get_running_loop()
            self._due_at[request.protocol] = loop.time() + self._answer_s
            try:
                response = await handler(request)
                if not response.prepared:
                    # Written here, and not by the server afterwards, so that a slow reader is in time or is
                    # cut off.
                    await response.prepare(request)
                    await response.write_eof()
            finally:
                self._due_at[request.protocol] = loop.time() + IDLE_TIMEOUT_S
            return response

        return timed

    def goes_on(self, request: web.Request) -> None:
        """The answer to this request has no end that could be waited for."""
        self._due_at[request.protocol] = math.inf

    async def watch(self, runner: web.AppRunner) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._close_overdue(runner, asyncio.get_running_loop().time())

    def _close_overdue(self, runner: web.AppRunner, now: float) -> None:
        open_ones = runner.server.connections if runner.server is not None else []
        due = {one: self._due_at.get(one, now + REQUEST_TIMEOUT_S) for one in open_ones}
        self._due_at = due
        too_many = sorted(due, key=due.__getitem__)[: max(0, len(due) - self._most)]
        for one in {*too_many, *(one for one, at in due.items() if at <= now)}:
            if one.transport is not None:
                one.transport.abort()


def _guard(access: Access) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.can_read_body:
            raise web.HTTPBadRequest(text="a request has no body here")
        if request.path not in OPEN_PATHS:
            if not access.knows(request.headers.get("Host", "")):
                raise web.HTTPMisdirectedRequest(text="Host is none of ours: name it in http_hosts")
            if not access.admits(request.headers.get("Authorization", "")):
                raise web.HTTPUnauthorized(
                    text="a token is needed: EMOTION_HTTP_TOKEN", headers={"WWW-Authenticate": _CHALLENGE}
                )
        return await handler(request)

    return guard


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in one shape; what was not foreseen is told to the log, without what was asked for."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = json_answer({"error": error.text or error.reason}, error.status)
        if challenge := error.headers.get("WWW-Authenticate"):
            response.headers["WWW-Authenticate"] = challenge
    except Exception as error:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else None
        _log.error("a request failed", path=path, error=type(error).__name__, exc_info=True)
        response = json_answer({"error": "this failed; the log says why"}, 500)
    response.headers.update(_HEADERS)
    return response


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
