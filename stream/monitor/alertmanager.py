"""Alerts to Prometheus Alertmanager (API v2): firing ones again and again, resolved ones for five minutes.

Alertmanager keeps no alert that is not repeated, so what fires is sent every ``alertmanager_resend_s``, and
at once when something changes. Its labels identify an alert; the text is in the annotations. Every monitor
sends all alerts: Alertmanager drops what is the same, and none is missing when a monitor is. Times are sent
by Alertmanager's clock, which decides whether an alert has ended.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import structlog
from yarl import URL

from stream.cloudevents import to_json
from stream.monitor import targets
from stream.monitor.board import Board
from stream.monitor.events import Alert
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.receiver_clock import ReceiverClock
from stream.settings import Settings

RESOLVED_FOR: Final = timedelta(minutes=5)
"""How long a resolved alert is repeated, so that a restarted Alertmanager learns of it too."""

MISSED_ROUNDS: Final = 4
"""A firing alert counts as resolved when we have not repeated it for so many rounds."""

REQUEST_TIMEOUT_S: Final = 10.0

REFUSED_FOR_CONTENT: Final = frozenset({400, 413, 422})
"""Statuses that say something of the alerts; others say something of the address, or of Alertmanager."""

REFUSED_FOR: Final = timedelta(minutes=15)
"""How long a refused alert is left: a proxy before Alertmanager refuses by the same statuses what is well."""

REASON_BYTES: Final = 300

_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError)

_log = structlog.get_logger(__name__)


class Outbox:
    """What Alertmanager is to be told, round by round. Pure: time comes in."""

    def __init__(self, resend: timedelta) -> None:
        self._resend = resend
        self._told_firing: set[str] = set()
        self._told_resolved_at: dict[str, datetime] = {}
        self._given_up: dict[str, tuple[int, datetime]] = {}

    def round(self, board: Board, now: datetime, theirs: datetime | None = None) -> list[dict[str, Any]]:
        """The alerts of this round: those that fire, and those that ended lately. ``theirs`` is what
        Alertmanager's clock says, where it is another time than ours.

        An alert of a replayed stream may have ended long ago by its own clock; it is told for five minutes
        from when we learned of it, if it was told as firing.
        """
        found = []
        theirs = theirs or now
        for alert in board.alerts.values():
            if self._is_given_up(alert, now):
                continue
            ends_at = _ends_at(board, alert)
            if ends_at is not None:
                if self._is_news(alert.id, ends_at, min(now, theirs)):
                    found.append(_as_json(alert, min(ends_at, theirs), theirs))
            elif not alert.held:
                self._told_firing.add(alert.id)
                found.append(_as_json(alert, theirs + MISSED_ROUNDS * self._resend, theirs))
        self._told_firing &= board.alerts.keys()
        self._told_resolved_at = {
            name: at for name, at in self._told_resolved_at.items() if name in board.alerts
        }
        self._given_up = {name: refused for name, refused in self._given_up.items() if name in board.alerts}
        return found

    def give_up(self, board: Board, alert_id: str, now: datetime) -> None:
        """This revision of an alert was refused: it is left for ``REFUSED_FOR``; a later one is told."""
        if alert_id in board.alerts:
            self._given_up[alert_id] = board.alerts[alert_id].revision, now

    def _is_given_up(self, alert: Alert, now: datetime) -> bool:
        revision, refused_at = self._given_up.get(alert.id, (0, now))
        return alert.revision <= revision and now - refused_at < REFUSED_FOR

    def _is_news(self, alert_id: str, ends_at: datetime, now: datetime) -> bool:
        if alert_id in self._told_firing:
            self._told_firing.discard(alert_id)
            self._told_resolved_at[alert_id] = now
        learned_at = self._told_resolved_at.get(alert_id, ends_at)
        if max(learned_at, ends_at) > now - RESOLVED_FOR:
            return True
        self._told_resolved_at.pop(alert_id, None)
        return False


def _ends_at(board: Board, alert: Alert) -> datetime | None:
    """When it was resolved, or a person dismissed it; None while it fires."""
    if alert.status == "resolved":
        return alert.ends_at
    if board.state(alert) == "dismissed":
        return board.reviews[alert.id][-1].at
    return None


def _as_json(alert: Alert, ends_at: datetime, now: datetime) -> dict[str, Any]:
    """An alert as Alertmanager takes it: one that starts after it ends, it refuses.

    ``now`` is by its clock; alerts follow that of their messages, which may be ahead. An alert about a person
    names the channel of their latest message, which may change: as a label that would make another alert.
    """
    of_channel = alert.kind in ("channel", "drift")
    labels = {
        "alertname": alert.rule,
        "alert_id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "channel": alert.channel if of_channel else None,
        "author": alert.author,
        "recipients": ",".join(alert.recipients),
    }
    evidence = alert.evidence
    annotations = {
        "summary": alert.summary,
        "notice": alert.notice,
        "channel": None if of_channel else alert.channel,
        "window": f"{evidence.window_start.isoformat()} to {evidence.window_end.isoformat()}",
        "score": f"{evidence.score:g}, {evidence.measure}",
        "levels": f"enter {evidence.enter:g}, leave {evidence.leave:g}",
        "baseline": None if evidence.baseline is None else f"{evidence.baseline:g}",
        "messages": str(evidence.messages),
        "model": None if alert.model is None else f"{alert.model.name} {alert.model.revision}",
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": min(alert.starts_at, ends_at, now),
        "endsAt": ends_at,
    }


class Alertmanager:
    """Sends to every Alertmanager in ``alertmanager_url``. ``changed`` is set when the board has news."""

    def __init__(
        self, settings: Settings, board: Board, metrics: MonitorMetrics, changed: asyncio.Event
    ) -> None:
        urls = targets.alertmanagers(settings)
        self._settings = settings
        self._resend_s = settings.alertmanager_resend_s
        self._outboxes = {f"{url}/api/v2/alerts": Outbox(timedelta(seconds=self._resend_s)) for url in urls}
        self._clocks = {url: ReceiverClock() for url in self._outboxes}
        self._board = board
        self._metrics = metrics
        self._changed = changed

    async def run(self) -> None:
        """Send for ever; what an Alertmanager did not take is sent again in the next round."""
        async with targets.session(self._settings, REQUEST_TIMEOUT_S) as session:
            while True:
                self._changed.clear()
                await asyncio.gather(*(self._round(session, url) for url in self._outboxes))
                try:
                    async with asyncio.timeout(self._resend_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _round(self, session: aiohttp.ClientSession, url: str) -> None:
        if not self._clocks[url].heard:
            with contextlib.suppress(*_UNREACHABLE):
                await self._post(session, url, [])  # it says nothing, and the answer says what time it is
        now = datetime.now(UTC)
        alerts = self._outboxes[url].round(self._board, now, self._clocks[url].at(now))
        if alerts:
            await self._send(session, url, alerts)

    async def _send(self, session: aiohttp.ClientSession, url: str, alerts: list[dict[str, Any]]) -> None:
        """Send; where some of many are refused, find out which, and give up only those for a while."""
        try:
            status, reason = await self._post(session, url, alerts)
        except _UNREACHABLE as error:
            status, reason = 0, str(error) or type(error).__name__
        if 200 <= status < 300:
            self._metrics.deliveries.labels("alertmanager", "delivered").inc()
        elif status not in REFUSED_FOR_CONTENT:
            self._metrics.deliveries.labels("alertmanager", "retried").inc()
            _log.warning(
                "Alertmanager took none of the alerts sent; they are sent again in the next round",
                alerts=len(alerts),
                reason=reason,
            )
        elif len(alerts) > 1:
            for half in (alerts[: len(alerts) // 2], alerts[len(alerts) // 2 :]):
                await self._send(session, url, half)
        else:
            labels = alerts[0]["labels"]
            self._outboxes[url].give_up(self._board, labels["alert_id"], datetime.now(UTC))
            self._metrics.deliveries.labels("alertmanager", "given_up").inc()
            _log.error(
                "Alertmanager refuses an alert; it is tried again later, and the others are sent",
                alert_id=labels["alert_id"],
                rule=labels["alertname"],
                reason=reason,
            )

    async def _post(
        self, session: aiohttp.ClientSession, url: str, alerts: list[dict[str, Any]]
    ) -> tuple[int, str]:
        """The status of the answer, and what it means. Redirects lead to whom nobody chose: not followed."""
        async with session.post(
            url, data=to_json(alerts), headers={"Content-Type": "application/json"}, allow_redirects=False
        ) as response:
            self._hear(url, response.headers.get("Date"))
            if 300 <= response.status < 400:
                return (
                    response.status,
                    f"status {response.status}: redirects are not followed; set alertmanager_url",
                )
            if response.status in REFUSED_FOR_CONTENT:
                said = (await response.content.read(REASON_BYTES)).decode("utf-8", "replace")
                return response.status, f"status {response.status}: {said}"
            return response.status, f"status {response.status}"

    def _hear(self, url: str, date: str | None) -> None:
        """Learn from an answer what time it is there; say so where that is another time than here."""
        clock = self._clocks[url]
        if clock.hear(date, datetime.now(UTC)):
            _log.warning(
                "the clocks of this machine and of Alertmanager differ; set the wrong one",
                host=URL(url).host,
                ahead_of_ours_s=round(clock.apart.total_seconds()),
                alerts="are sent with times of its clock"
                if clock.believed
                else "are sent with times of ours, and may look ended there",
            )
