"""Who may use the dashboard: Host, sessions, the token, and what a browser is told to keep from it.

    Host not ours ─► 421      no session ─► 401, or the login      unsafe without our CSRF token ─► 403

A session is a random id in a cookie that scripts cannot read and other sites cannot send; it lives in this
process. The reviewer's name is the session's, never a request's. After OWASP's cheat sheets on sessions and
on cross-site request forgery (synchroniser token, with the Origin as a second lock).
"""

import hmac
import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from stream.errors import SettingsError
from stream.serving import Handler
from stream.settings import Settings

COOKIE: Final = "emotion-session"
COOKIE_PATH: Final = ""
"""None is said: a browser takes the folder that it sees us in, so a proxy may give us one of a host's."""
CSRF_HEADER: Final = "X-CSRF-Token"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
SESSION_S: Final = 12 * 3600
SESSIONS: Final = 1_000
FAILURES: Final = 10
"""Wrong tokens from one address within ``FAILURES_S``, after which others are refused without a log line."""
FAILURES_S: Final = 60.0
ADDRESSES: Final = 1_000
NAME_LENGTH: Final = 64
HEALTH_PATH: Final = "/healthz"
"""Open under any Host, since what probes a process asks by its address; it tells nothing but that."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with "no-referrer", a form of ours would come from the origin "null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at a browser. ``reviewer`` is the name that reviews carry."""

    reviewer: str
    csrf: str
    until: float


class Guard:
    """Lets requests through or not. ``reviewer`` is who reviews where no token is asked for."""

    def __init__(self, settings: Settings, reviewer: str) -> None:
        token = settings.dashboard_token
        self._token = None if token is None else token.get_secret_value().encode()
        self._reviewer = reviewer
        named = (settings.dashboard_hosts or "").split(",")
        self._hosts = LOOPBACK | {name.strip().lower() for name in named if name.strip()}
        if not _is_any(settings.dashboard_host):
            self._hosts |= {settings.dashboard_host.lower()}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        _check(settings, self._token, self._hosts)

    @property
    def asks_for_token(self) -> bool:
        return self._token is not None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what may not pass, and add the headers to whatever is answered."""
        try:
            response = await self._guarded(request, handler)
        except web.HTTPException as refusal:
            refusal.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def open_session(self, request: web.Request, response: web.StreamResponse, reviewer: str) -> None:
        """Begin a session and give the browser its cookie: Secure unless this is plain loopback."""
        now = time.monotonic()
        session_id = secrets.token_urlsafe(32)
        self._sessions[session_id] = Session(reviewer, secrets.token_urlsafe(32), now + SESSION_S)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        response.set_cookie(
            cookie_of(request),
            session_id,
            max_age=SESSION_S,
            path=COOKIE_PATH,
            httponly=True,
            samesite="Strict",
            secure=host_of(request) not in LOOPBACK,
        )

    def session(self, request: web.Request) -> Session | None:
        """The session that a request belongs to, if it still runs."""
        session_id = request.cookies.get(cookie_of(request), "")
        session = self._sessions.get(session_id)
        if session is not None and time.monotonic() > session.until:
            del self._sessions[session_id]
            return None
        return session

    def log_in(self, request: web.Request, response: web.StreamResponse, token: str, name: str) -> bool:
        """Begin a session for who knows the token.

        Raises:
            HTTPTooManyRequests: it is wrong, as were too many from there before.
        """
        # As bytes, since compare_digest takes only ASCII as text.
        right = hmac.compare_digest(token.encode(), self._token or b"")
        reviewer = " ".join(name.split())[:NAME_LENGTH]
        if not right:
            self._count_failure(request.remote or "")
        if self._token is None or not right or not reviewer or not reviewer.isprintable():
            return False
        self.open_session(request, response, reviewer)
        return True

    def log_out(self, request: web.Request, response: web.StreamResponse) -> None:
        self._sessions.pop(request.cookies.get(cookie_of(request), ""), None)
        response.del_cookie(cookie_of(request), path=COOKIE_PATH)

    def _count_failure(self, address: str) -> None:
        """Refuse more than a few wrong tokens a minute. The right one is always taken, since behind a proxy
        all come from one address.
        """
        now, failures = time.monotonic(), self._failures.setdefault(address, deque(maxlen=FAILURES))
        self._failures.move_to_end(address)
        if len(failures) == FAILURES and now - failures[0] < FAILURES_S:
            raise web.HTTPTooManyRequests(text="too many wrong tokens: wait a minute")
        failures.append(now)
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == HEALTH_PATH:
            return await handler(request)
        if host_of(request) not in self._hosts:
            raise web.HTTPMisdirectedRequest(text="this host name is not in dashboard_hosts")
        if request.method not in ("GET", "HEAD") and not _same_origin(request):
            raise web.HTTPForbidden(text="the request comes from another site")
        if request.path == "/login" or request.path.startswith("/static/"):
            return await handler(request)
        session = self.session(request)
        if session is None:
            return await self._without_session(request, handler)
        if request.method not in ("GET", "HEAD"):
            given = request.headers.get(CSRF_HEADER, "").encode()
            if not hmac.compare_digest(given, session.csrf.encode()):
                raise web.HTTPForbidden(text="the CSRF token is missing or old: load the page again")
        return await handler(request)

    async def _without_session(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The page opens a session where none is needed, else the login; the rest is refused."""
        if request.path != "/":
            raise web.HTTPUnauthorized(text="no session: open the page first")
        if self.asks_for_token:
            raise web.HTTPSeeOther("login")
        response = await handler(request)
        self.open_session(request, response, self._reviewer)
        return response


def host_of(request: web.Request) -> str:
    """The name in the Host header, without its port."""
    try:
        return (urlsplit(f"//{request.headers.get('Host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def cookie_of(request: web.Request) -> str:
    """The name of the session's cookie, with the port in the Host header, where there is one.

    Browsers send a cookie to all ports of a host (RFC 6265, 8.5): under one name, dashboards side by side
    would end each other's sessions.
    """
    try:
        port = urlsplit(f"//{request.headers.get('Host', '')}").port
    except ValueError:
        port = None
    return COOKIE if port is None else f"{COOKIE}-{port}"


def _same_origin(request: web.Request) -> bool:
    """Whether the browser says that our own page sent it; clients that are no browsers say nothing.

    Where a proxy sets a stricter policy than ours, the origin of a form of ours is "null".
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none"):
        return False
    if origin == "null" and site == "same-origin":
        return True
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _check(settings: Settings, token: bytes | None, hosts: frozenset[str] | set[str]) -> None:
    """Refuse to be reachable from elsewhere by everybody."""
    outside = settings.dashboard_host.lower() not in LOOPBACK
    if outside and _is_any(settings.dashboard_host) and not hosts - LOOPBACK:
        raise SettingsError(
            "dashboard_host is every address: set dashboard_hosts to the names it is reached by"
        )
    if (outside or hosts - LOOPBACK) and token is None:
        raise SettingsError(
            "a dashboard that is reached from elsewhere needs a token: set EMOTION_DASHBOARD_TOKEN"
        )
