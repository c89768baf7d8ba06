"""The monitor's web server: health, metrics, counters, alerts, and the precision of the rules, on one port.

    /healthz   200 while nothing has failed       /api/counters?channel=…&window_s=…&limit=…
    /readyz    200 while partitions are taken     /api/alerts?state=…&rule=…&limit=…   /api/alerts/ID
    /metrics   Prometheus                         /api/precision

It shows pseudonyms and evidence: ``stream.serving`` says who may ask.
"""

from typing import Any, get_args

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stream.monitor.board import Board, State
from stream.monitor.events import Alert
from stream.monitor.monitor import Monitor
from stream.serving import json_answer, one_of, parameters, whole_number

MAX_ROWS = 1000
LONGEST_WINDOW_S = 366 * 86_400
STATES = get_args(State)


class MonitorWeb:
    """Answers for one monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.routes = [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
            web.get("/api/counters", self._counters),
            web.get("/api/alerts", self._alerts),
            web.get("/api/alerts/{id:[^/]+}", self._alert),
            web.get("/api/precision", self._precision),
        ]

    @property
    def _board(self) -> Board:
        return self._monitor.board

    async def _healthz(self, _: web.Request) -> web.Response:
        failure = self._monitor.failure
        return (
            json_answer({"status": "failed", "reason": str(failure)}, 503)
            if failure
            else json_answer({"status": "ok"})
        )

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._monitor.ready:
            return json_answer({"status": "ready"})
        reason = self._monitor.failure or self._monitor.not_ready_because
        return json_answer({"status": "not ready", "reason": str(reason)}, 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._monitor.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _counters(self, request: web.Request) -> web.Response:
        given = parameters(request, ("channel", "window_s", "limit"))
        window_s = whole_number(given, "window_s", least=1, most=LONGEST_WINDOW_S)
        limit = whole_number(given, "limit", least=1, most=MAX_ROWS) or MAX_ROWS
        counters = self._board.counters(given.get("channel"), window_s)[:limit]
        late = sum(one.late_messages for one in self._monitor.partitions.counts.values())
        return json_answer(
            {"counters": [counter.model_dump() for counter in counters], "late_messages_here": late}
        )

    async def _alerts(self, request: web.Request) -> web.Response:
        given = parameters(request, ("state", "rule", "limit"))
        state, rule = one_of(given, "state", STATES), given.get("rule")
        limit = whole_number(given, "limit", least=1, most=MAX_ROWS) or MAX_ROWS
        chosen = [
            alert
            for alert in self._board.alerts.values()
            if state in (None, self._board.state(alert)) and rule in (None, alert.rule)
        ]
        chosen.sort(key=lambda alert: alert.updated_at, reverse=True)
        return json_answer({"alerts": [self._shown(alert) for alert in chosen[:limit]]})

    async def _alert(self, request: web.Request) -> web.Response:
        parameters(request, ())
        alert = self._board.alerts.get(request.match_info["id"])
        if alert is None:
            return json_answer({"error": "no such alert"}, 404)
        reviews = [review.model_dump() for review in self._board.reviews.get(alert.id, ())]
        return json_answer({**self._shown(alert), "reviews": reviews})

    async def _precision(self, request: web.Request) -> web.Response:
        parameters(request, ())
        return json_answer(
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
