"""Alertmanager is told what fires, what ended, and of each alert as the same one; and none hides another."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from stream.monitor.alertmanager import REFUSED_FOR, RESOLVED_FOR, Alertmanager, Outbox
from stream.monitor.app import running
from stream.monitor.board import Board
from stream.monitor.events import Review
from stream.monitor.metrics import MonitorMetrics
from stream.settings import Settings
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import AUTHOR
from tests.stream.monitor.receivers import alertmanager, on_loopback
from tests.stream.monitor.test_delivery import alert, eventually, send, story, with_rules


async def test_a_real_alertmanager_sees_the_alert_fire_and_resolve(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with alertmanager(tmp_path) as url, aiohttp.ClientSession() as session:
        settings = await with_rules(monitor_topics, tmp_path, alertmanager_url=url, alertmanager_resend_s=1)

        async def shown() -> list[dict[str, Any]]:
            async with session.get(f"{url}/api/v2/alerts") as response:
                found: list[dict[str, Any]] = await response.json()
                return found

        async with running(settings):
            begin = time.time() - 600
            await send(settings, story(sad=6, calm=0, begin=begin))

            async def firing() -> bool:
                return bool(await shown())

            await eventually(firing)
            (first,) = await shown()
            assert first["labels"]["alertname"] == "sustained"
            assert first["labels"]["author"] == "author-a"
            assert "no diagnosis" in first["annotations"]["notice"]

            async def sent_again() -> bool:
                (now,) = await shown()
                return bool(now["endsAt"] > first["endsAt"])

            await eventually(sent_again)
            await send(settings, story(sad=0, calm=8, first=6, begin=begin + 10))

            async def resolved() -> bool:
                return not await shown()

            await eventually(resolved)


def test_alertmanager_is_told_what_fires_in_each_round_and_what_ended_for_five_minutes() -> None:
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    now = datetime.now(UTC)
    board.take_alert(alert())
    assert len(outbox.round(board, now)) == 1
    (again,) = outbox.round(board, now + timedelta(seconds=60))
    assert again["endsAt"] > now + timedelta(seconds=120)
    # It ended an hour ago by the clock of its stream, and we learn of it only now.
    board.take_alert(alert("resolved", revision=2, ends_at=now - timedelta(minutes=59)))
    assert len(outbox.round(board, now + timedelta(seconds=120))) == 1
    assert len(outbox.round(board, now + timedelta(seconds=300))) == 1
    assert outbox.round(board, now + timedelta(seconds=120) + RESOLVED_FOR) == []


@pytest.mark.parametrize("kind", ["author", "phrase"])
def test_an_authors_alert_stays_the_same_to_alertmanager_when_they_write_elsewhere(kind: str) -> None:
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    told = []
    for revision, status, channel in ((1, "firing", "a"), (2, "firing", "b"), (3, "resolved", "c")):
        board.take_alert(alert(status, kind=kind, revision=revision, channel=channel))
        told += outbox.round(board, datetime.now(UTC))
    assert [one["annotations"]["channel"] for one in told] == ["a", "b", "c"]
    assert told[0]["labels"] == told[1]["labels"] == told[2]["labels"]


def test_a_channels_alert_names_the_channel_to_route_by() -> None:
    board = Board()
    board.take_alert(alert(kind="channel", author=None, channel="support"))
    (told,) = Outbox(timedelta(seconds=60)).round(board, datetime.now(UTC))
    assert told["labels"]["channel"] == "support"


def test_alertmanager_is_not_told_of_old_ends_nor_of_alerts_in_quiet_hours() -> None:
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    now = datetime.now(UTC)
    board.take_alert(alert("resolved", ends_at=now - timedelta(minutes=6)))
    board.take_alert(alert(id="b", held=True))
    assert outbox.round(board, now) == []
    board.take_review(
        Review(id="1", alert_id="b", rule="sustained", verdict="acknowledged", reviewer="r", at=now)
    )
    assert outbox.round(board, now) == []


def test_an_alert_of_a_replayed_stream_is_told_to_alertmanager_when_it_ends() -> None:
    """It is old by the clock of its stream; the topic holds it all the same."""
    board, outbox, now = Board(), Outbox(timedelta(seconds=60)), datetime.now(UTC)
    then = now - timedelta(days=30)
    board.take_alert(alert(starts_at=then, updated_at=then), now.timestamp())
    assert len(outbox.round(board, now)) == 1
    board.take_alert(
        alert("resolved", revision=2, starts_at=then, updated_at=then, ends_at=then), now.timestamp()
    )
    board.prune(now - timedelta(days=7))
    assert len(outbox.round(board, now)) == 1
    board.prune(now + timedelta(seconds=1))
    assert not board.alerts


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_alertmanager_is_not_told_what_was_still_on_its_way_of_a_deleted_alert(status: str) -> None:
    board, outbox, now = Board(), Outbox(timedelta(seconds=60)), datetime.now(UTC)
    board.take_alert(alert())
    assert outbox.round(board, now)
    board.take_tombstone(alert().id, now.timestamp())
    board.take_alert(alert(status, revision=2))
    assert outbox.round(board, now) == []


def test_alertmanager_is_not_told_of_an_author_who_was_forgotten_after_the_alert_began() -> None:
    board, outbox, now = Board(), Outbox(timedelta(seconds=60)), datetime.now(UTC)
    board.take_tombstone(AUTHOR, now.timestamp())
    board.take_alert(alert(author=AUTHOR, starts_at=now))
    assert outbox.round(board, now) == []
    board.take_alert(alert(id="later", author=AUTHOR, starts_at=now + timedelta(seconds=1)))
    assert [one["labels"]["alert_id"] for one in outbox.round(board, now)] == ["later"]


def test_a_dismissed_alert_ends_for_alertmanager() -> None:
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    now = datetime.now(UTC)
    board.take_alert(alert())
    outbox.round(board, now)
    board.take_review(
        Review(id="1", alert_id=alert().id, rule="sustained", verdict="dismissed", reviewer="r", at=now)
    )
    (told,) = outbox.round(board, now + timedelta(seconds=1))
    assert told["endsAt"] == now
    assert orjson.dumps(told)


class AlertmanagerTwin:
    """Answers as Alertmanager does: it takes what is valid, and answers 400 if anything was not."""

    def __init__(self, *, refuses: str = "", status: int = 200, ahead: timedelta = timedelta()) -> None:
        self.url = ""
        self.status = status
        self.taken: set[str] = set()
        self.ended: set[str] = set()
        self._refuses = refuses
        self._ahead = ahead

    async def handle(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": f"{self.url}/elsewhere"})
        alerts = await request.json()
        found = {one["labels"]["alert_id"] for one in alerts}
        if self._refuses in found or any(one["startsAt"] > one["endsAt"] for one in alerts):
            return web.json_response({"code": 600, "message": "invalid"}, status=400)
        self.taken |= found
        now = datetime.now(UTC) + self._ahead
        over = {one["labels"]["alert_id"] for one in alerts if datetime.fromisoformat(one["endsAt"]) <= now}
        self.ended = self.ended - found | over
        return web.Response(status=200, headers={"Date": format_datetime(now, usegmt=True)})

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.taken.add("elsewhere")
        return web.Response(status=200)


@contextlib.asynccontextmanager
async def twin(**options: Any) -> AsyncIterator[AlertmanagerTwin]:
    receiver = AlertmanagerTwin(**options)
    app = web.Application()
    app.router.add_post("/api/v2/alerts", receiver.handle)
    app.router.add_route("*", "/elsewhere", receiver.elsewhere)
    async with on_loopback(app) as receiver.url:
        yield receiver


@contextlib.asynccontextmanager
async def sending(url: str, board: Board, *, resend_s: float = 0.2) -> AsyncIterator[MonitorMetrics]:
    """An Alertmanager client that sends what is on the board."""
    metrics = MonitorMetrics()
    client = Alertmanager(
        Settings(alertmanager_url=url, alertmanager_resend_s=resend_s), board, metrics, asyncio.Event()
    )
    task = asyncio.create_task(client.run())
    try:
        yield metrics
    finally:
        task.cancel()
        await asyncio.wait({task})


def deliveries(metrics: MonitorMetrics, result: str) -> float:
    return float(metrics.deliveries.labels("alertmanager", result)._value.get())


async def test_one_refused_alert_hides_none_of_the_others_and_is_given_up_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = Board()
    for n in range(9):
        board.take_alert(alert(id=f"alert-{n}"))
    async with twin(refuses="alert-4") as receiver, sending(receiver.url, board) as metrics:
        others = {f"alert-{n}" for n in range(9) if n != 4}
        await eventually(lambda: receiver.taken == others and deliveries(metrics, "given_up") == 1)
        await asyncio.sleep(0.5)
        assert deliveries(metrics, "given_up") == 1
    assert "alert_id=alert-4" in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_a_refused_alert_is_told_again_once_what_refused_it_may_have_been_put_right() -> None:
    """A proxy that answers 400 to all must not silence what fires for as long as it fires."""
    board, outbox, now = Board(), Outbox(timedelta(seconds=60)), datetime.now(UTC)
    board.take_alert(alert())
    assert outbox.round(board, now)
    outbox.give_up(board, alert().id, now)
    assert not outbox.round(board, now + REFUSED_FOR - timedelta(seconds=1))
    assert outbox.round(board, now + REFUSED_FOR)
    outbox.give_up(board, alert().id, now + REFUSED_FOR)
    assert not outbox.round(board, now + REFUSED_FOR + timedelta(seconds=60))
    board.take_alert(alert(revision=2))
    assert outbox.round(board, now + REFUSED_FOR + timedelta(seconds=60))


async def test_alertmanagers_redirects_are_not_followed() -> None:
    board = Board()
    board.take_alert(alert())
    async with twin(status=307) as receiver, sending(receiver.url, board) as metrics:
        await eventually(lambda: deliveries(metrics, "retried") > 0)
        assert receiver.taken == set()
        assert deliveries(metrics, "delivered") == 0


def test_alertmanager_is_never_told_of_an_alert_that_starts_after_it_ends() -> None:
    """Alerts follow the time of messages, whose clocks may be ahead."""
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    now = datetime.now(UTC)
    ahead = now + timedelta(hours=3)
    board.take_alert(alert(id="fires", starts_at=ahead, updated_at=ahead))
    board.take_alert(alert("resolved", id="ended", starts_at=ahead, updated_at=ahead, ends_at=ahead))
    told = outbox.round(board, now)
    assert len(told) == 2
    assert all(one["startsAt"] <= one["endsAt"] and one["startsAt"] <= now for one in told)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
async def test_what_fires_does_so_by_alertmanagers_clock_and_what_ended_has_ended(
    ahead: timedelta, capsys: pytest.CaptureFixture[str]
) -> None:
    board, now = Board(), datetime.now(UTC)
    board.take_alert(alert(id="fires"))
    board.take_alert(alert("resolved", id="ended", ends_at=now + ahead))
    async with twin(ahead=ahead) as receiver, sending(receiver.url, board, resend_s=1) as metrics:
        await eventually(lambda: deliveries(metrics, "delivered") >= 2)
        assert (receiver.taken, receiver.ended) == ({"fires", "ended"}, {"ended"})
        assert not deliveries(metrics, "given_up")
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert said.count("the clocks of this machine and of Alertmanager differ") == 1
    assert re.search(rf"ahead_of_ours_s={'-' * (ahead < timedelta())}3(599|600|601) ", said)


async def test_alertmanager_is_not_told_for_one_round_that_what_fires_has_ended() -> None:
    """Another monitor, whose clock is right, has told it that it fires."""
    board = Board()
    board.take_alert(alert(id="fires"))
    async with twin(ahead=timedelta(hours=1)) as receiver, sending(receiver.url, board, resend_s=1):
        await eventually(lambda: bool(receiver.taken))
        assert not receiver.ended
