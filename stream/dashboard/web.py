"""The dashboard over HTTP: the page, its files, one stream of events, reviews, and the box to try the model.

GET  /  /login  /static/NAME  /healthz
GET  /api/session   /api/stream?channel=&window_s=   /api/channels?q=   /api/alert?id=
POST /login  /logout  /api/review {alerts: [[id, reviews seen], …], verdict, note}  /api/classify {text}
"""

import asyncio
import gzip
import hashlib
import time
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

import orjson
import structlog
from aiohttp import web

from model.errors import ModelError
from stream.cloudevents import to_json
from stream.dashboard import parts
from stream.dashboard.evidence import author_picture, channel_picture
from stream.dashboard.feed import Feed
from stream.dashboard.guard import HEADERS, Guard
from stream.dashboard.labeller import MOST_CHARACTERS, BusyError, Labeller
from stream.dashboard.publish import Publisher
from stream.dashboard.queue import Item
from stream.dashboard.reviewer import Reviewer
from stream.errors import BrokerError
from stream.events import ALL_CHANNELS
from stream.monitor.events import Review, Verdict
from stream.serving import Connections

STREAMS: Final = 500
"""Pages that may be open at a time."""
MOST_BYTES: Final = 256 * 1024
MOST_TOGETHER: Final = parts.MEMBERS
"""Alerts that one decision may be about."""
MOST_NOTE: Final = 1_000
WRITE_S: Final = 30.0
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
_TYPES: Final = {
    "css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"
}  # fmt: skip

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, read once, with its hash, plain and compressed."""

    body: bytes
    packed: bytes
    tag: str
    content_type: str


def assets() -> dict[str, Asset]:
    """The files of the page by their path below ``static``."""
    root, found = files("stream.dashboard") / "static", {}
    for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
        for file in folder.iterdir():
            kind = _TYPES.get(file.name.rpartition(".")[2])
            if file.is_file() and kind is not None:
                body = file.read_bytes()
                tag = hashlib.sha256(body).hexdigest()[:16]
                found[prefix + file.name] = Asset(body, gzip.compress(body, 6, mtime=0), tag, kind)
    return found


class DashboardWeb:
    """Answers from the folds of ``feed`` and the frames of ``publisher``."""

    def __init__(
        self,
        feed: Feed,
        publisher: Publisher,
        guard: Guard,
        labeller: Labeller | None,
        reviewer: Reviewer,
        connections: Connections,
    ) -> None:
        self._feed = feed
        self._publisher = publisher
        self._guard = guard
        self._labeller = labeller
        self._reviewer = reviewer
        self._connections = connections
        self._assets = assets()
        self._deciding = asyncio.Lock()

    def application(self) -> web.Application:
        middlewares = [self._connections.middleware, self._guard.middleware]
        app = web.Application(middlewares=middlewares, client_max_size=MOST_BYTES)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/login", self._login_page),
                web.post("/login", self._log_in),
                web.post("/logout", self._log_out),
                web.get("/healthz", self._healthz),
                web.get("/static/{name:.+}", self._static),
                web.get("/api/session", self._session),
                web.get("/api/stream", self._stream),
                web.get("/api/channels", self._channels),
                web.get("/api/alert", self._alert),
                web.post("/api/review", self._review),
                web.post("/api/classify", self._classify),
            ]
        )
        return app

    async def _page(self, request: web.Request) -> web.Response:
        return self._asset(request, "index.html")

    async def _login_page(self, request: web.Request) -> web.Response:
        return self._asset(request, "login.html")

    async def _static(self, request: web.Request) -> web.Response:
        return self._asset(request, request.match_info["name"])

    def _asset(self, request: web.Request, name: str) -> web.Response:
        asset = self._assets.get(name)
        if asset is None:
            raise web.HTTPNotFound(text="no such file")
        headers = {"ETag": f'"{asset.tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        body = asset.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = asset.packed
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=headers)

    async def _healthz(self, _: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _log_in(self, request: web.Request) -> web.Response:
        form = await _form(request)
        token, name = form.get("token", ""), form.get("name", "")
        welcome = web.HTTPSeeOther("./")
        if self._guard.log_in(request, welcome, token, name):
            raise welcome
        _log.warning("a login was refused", peer=request.remote)
        raise web.HTTPSeeOther("login?failed")

    async def _log_out(self, request: web.Request) -> web.Response:
        response = _json({})
        self._guard.log_out(request, response)
        return response

    async def _session(self, request: web.Request) -> web.Response:
        session = self._guard.session(request)
        assert session is not None, "the guard lets nobody through without one"
        return _json(
            {
                "reviewer": session.reviewer,
                "csrf": session.csrf,
                "logged_in": self._guard.asks_for_token,
                "can_try": self._labeller is not None,
                "most_characters": MOST_CHARACTERS,
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Events until the page goes, the session ends, or the reader does not read any more."""
        if self._publisher.readers >= STREAMS:
            raise web.HTTPServiceUnavailable(text="too many pages are open")
        window = request.query.get("window_s", "")
        window_s = int(window) if window.isascii() and window.isdigit() and len(window) < 7 else None
        key = request.query.get("channel", ALL_CHANNELS), window_s
        kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=HEADERS | kind)
        self._connections.goes_on(request)
        await response.prepare(request)
        seen: dict[str, int] = {}
        try:
            with self._publisher.watching(key):
                self._publisher.offer_mix(key, partial(parts.mix, self._feed.history, *key, time.time()))
                while self._guard.session(request) is not None:
                    async with asyncio.timeout(WRITE_S):
                        await response.write(self._publisher.news(key, seen) or b":\n\n")
                    await self._publisher.changed()
        except (ConnectionError, TimeoutError):
            pass  # the page has gone, or sleeps; it connects again by itself
        return response

    async def _channels(self, request: web.Request) -> web.Response:
        names, known = self._feed.history.names(request.query.get("q", "")[:1024])
        return _json({"names": names, "known": known})

    async def _alert(self, request: web.Request) -> web.Response:
        item = self._item(request.query.get("id", ""))
        return _json(parts.detail(item, self._picture(item)))

    async def _review(self, request: web.Request) -> web.Response:
        """One decision about one or several alerts: a review for each. None where another came before."""
        session = self._guard.session(request)
        assert session is not None, "the guard lets nobody through without one"
        body = await _body(request)
        verdict, note = body.get("verdict"), body.get("note") or None
        if verdict not in VERDICTS:
            raise web.HTTPBadRequest(text=f"verdict must be one of {', '.join(VERDICTS)}")
        if note is not None and (not isinstance(note, str) or len(note) > MOST_NOTE):
            raise web.HTTPBadRequest(text=f"note must be text of at most {MOST_NOTE} characters")
        written: list[Review] = []
        async with self._deciding:
            items = [self._as_seen(alert_id, seen) for alert_id, seen in _chosen(body)]
            try:
                for item in items:
                    written.append(await self._reviewer.write(item, verdict, session.reviewer, note))
                    self._feed.queue.take_review(written[-1])
            except BrokerError as error:
                done = f"{len(written)} of {len(items)} reviews are written"
                raise web.HTTPServiceUnavailable(text=f"{done}: {error}") from error
        return _json([one.model_dump() for one in written], 201)

    async def _classify(self, request: web.Request) -> web.Response:
        if self._labeller is None:
            raise web.HTTPNotFound(text="trying the model is turned off (dashboard_try)")
        text = (await _body(request)).get("text")
        if not isinstance(text, str) or not text.strip():
            raise web.HTTPBadRequest(text="write a sentence first")
        if len(text) > MOST_CHARACTERS:
            raise web.HTTPBadRequest(text=f"at most {MOST_CHARACTERS} characters can be tried")
        try:
            return _json(await self._labeller.label(text))
        except BusyError as error:
            raise web.HTTPTooManyRequests(text=str(error)) from error
        except ModelError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error

    def _item(self, alert_id: str) -> Item:
        item = self._feed.queue.item(alert_id)
        if item is None:
            raise web.HTTPNotFound(text="no such alert: it never was, or its time has passed")
        return item

    def _as_seen(self, alert_id: str, seen: int) -> Item:
        """The alert, if no review has come that whoever decides has not seen."""
        item = self._item(alert_id)
        if len(item.reviews) != seen:
            if not item.reviews:
                raise web.HTTPConflict(text="its reviews are not those that you saw: look at it again")
            last = item.reviews[-1]
            raise web.HTTPConflict(text=f"{last.reviewer} has {last.verdict} it meanwhile: look at it again")
        return item

    def _picture(self, item: Item) -> dict[str, Any]:
        alert = item.alert
        if alert.author is not None:
            return author_picture(alert, self._feed.flow.trail(alert.author))
        span = int((alert.evidence.window_end - alert.evidence.window_start).total_seconds())
        lengths = self._feed.history.lengths
        window_s = span if span in lengths else min(lengths, default=60)
        windows = self._feed.history.windows(alert.channel or ALL_CHANNELS, window_s, time.time())
        return channel_picture(alert, windows, window_s)


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.RequestPayloadError:
        raise web.HTTPBadRequest(text="the body cannot be read") from None


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a form as our own pages send it: in UTF-8, without files."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="send application/x-www-form-urlencoded")
    return dict(parse_qsl((await _read(request)).decode(errors="replace")))


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request carries."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json")
    try:
        value = orjson.loads(await _read(request))
    except orjson.JSONDecodeError:
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return value


def _chosen(body: dict[str, Any]) -> list[tuple[str, int]]:
    """The alerts that a decision is about, and how many reviews of each were seen."""
    match body.get("alerts"):
        case [_, *_] as pairs if len(pairs) <= MOST_TOGETHER:
            found = [(one[0], one[1]) for one in pairs if isinstance(one, list) and len(one) == 2]
            if len(found) == len(pairs) and all(type(a) is str and type(n) is int for a, n in found):
                return list(dict(found).items())
    raise web.HTTPBadRequest(text=f"alerts must be 1 to {MOST_TOGETHER} pairs of id and reviews seen")


def _json(value: Any, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=to_json(value), status=status, content_type="application/json", headers=headers)
