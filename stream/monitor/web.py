"""The monitor's web server: health, metrics, counters, alerts, and the precision of the rules, on one port.

    /          a page for people (stream.dashboard)
    /healthz   200 while nothing has failed       /api/counters?channel=…&window_s=…&limit=…
    /readyz    200 while partitions are taken     /api/alerts?state=…&rule=…   /api/alerts/ID
    /metrics   Prometheus                         /api/precision

It shows pseudonyms and evidence, so it listens on the loopback address unless told otherwise; whoever opens
it to a network puts a proxy with authentication before it.
"""

from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stream import dashboard
from stream.codec import to_json
from stream.monitor.board import Board
from stream.monitor.events import Alert
from stream.monitor.monitor import Monitor

MAX_ROWS = 1000


class MonitorWeb:
    """Answers for one monitor. ``port`` is known once it has started."""

    def __init__(self, monitor: Monitor, host: str, port: int) -> None:
        self._monitor = monitor
        self._host = host
        self.port = port
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/counters", self._counters),
                web.get("/api/alerts", self._alerts),
                web.get("/api/alerts/{id}", self._alert),
                web.get("/api/precision", self._precision),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen; raises ``OSError`` where the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def _board(self) -> Board:
        return self._monitor.board

    async def _page(self, _: web.Request) -> web.Response:
        headers = {
            "Content-Security-Policy": dashboard.CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
        }
        return web.Response(body=dashboard.page(), content_type="text/html", charset="utf-8", headers=headers)

    async def _healthz(self, _: web.Request) -> web.Response:
        failure = self._monitor.failure
        return (
            _json({"status": "failed", "reason": str(failure)}, 503) if failure else _json({"status": "ok"})
        )

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._monitor.ready
        return _json({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._monitor.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _counters(self, request: web.Request) -> web.Response:
        window_s = _number(request, "window_s", None)
        limit = _number(request, "limit", MAX_ROWS) or MAX_ROWS
        counters = self._board.counters(request.query.get("channel"), window_s)[:limit]
        late = sum(one.late_messages for one in self._monitor.partitions.counts.values())
        return _json({"counters": [counter.model_dump() for counter in counters], "late_messages_here": late})

    async def _alerts(self, request: web.Request) -> web.Response:
        state, rule = request.query.get("state"), request.query.get("rule")
        chosen = [
            alert
            for alert in self._board.alerts.values()
            if state in (None, self._board.state(alert)) and rule in (None, alert.rule)
        ]
        chosen.sort(key=lambda alert: alert.updated_at, reverse=True)
        return _json({"alerts": [self._shown(alert) for alert in chosen[:MAX_ROWS]]})

    async def _alert(self, request: web.Request) -> web.Response:
        alert = self._board.alerts.get(request.match_info["id"])
        if alert is None:
            return _json({"error": "no such alert"}, 404)
        reviews = [review.model_dump() for review in self._board.reviews.get(alert.id, ())]
        return _json({**self._shown(alert), "reviews": reviews})

    async def _precision(self, _: web.Request) -> web.Response:
        return _json(
            {
                rule: {
                    "confirmed": precision.confirmed,
                    "reviewed": precision.reviewed,
                    "precision": precision.ratio,
                    "interval_95": precision.interval,
                }
                for rule, precision in self._board.precision().items()
            }
        )

    def _shown(self, alert: Alert) -> dict[str, Any]:
        return {**alert.model_dump(), "state": self._board.state(alert)}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type="application/json")


def _number(request: web.Request, name: str, default: int | None) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise web.HTTPBadRequest(text=f"{name} must be a whole number")
    return int(text)
