"""Alerts reach a webhook and an Alertmanager, and a receiver that is slow or dead harms nobody else."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from stream.events import DistressSignal
from stream.monitor.alertmanager import RESOLVED_FOR, Outbox
from stream.monitor.app import running
from stream.monitor.board import Board
from stream.monitor.events import Alert, Evidence, Review
from stream.settings import Settings
from tests.records import produce, read_committed_all
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import signal
from tests.stream.monitor.receivers import alertmanager, http_receiver
from tests.stream.monitor.test_app import signal_record

RULES = """
[[rule]]
name = "sustained"
kind = "author"
cooldown_s = 0
resend_s = 60
recipients = ["team"]
"""


def alert(status: str = "firing", **fields: Any) -> Alert:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": "sustained:a:messages-0-4", "revision": 1, "rule": "sustained", "kind": "author",
        "severity": "warning", "status": status, "recipients": ("team",), "summary": "s", "author": "a",
        "evidence": Evidence(
            window_start=now, window_end=now, measure="m", score=0.9, enter=0.6, leave=0.4, messages=5
        ),
        "starts_at": now - timedelta(hours=1), "updated_at": now, "shard": 0,
        "ends_at": now if status == "resolved" else None,
    }  # fmt: skip
    return Alert(**values | fields)


def story(*, sad: int, calm: int, first: int = 0, begin: float | None = None) -> list[DistressSignal]:
    """An author who is sad, and then no more."""
    begin = time.time() - 600 if begin is None else begin
    scores = [0.95] * sad + [0.0] * calm
    return [signal(score, offset=first + n, ts=begin + n) for n, score in enumerate(scores)]


async def eventually(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout_s: float = 20
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if await result if isinstance(result, Awaitable) else result:
            return
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.1)


async def with_rules(monitor_topics: MonitorTopics, tmp_path: Path, **overrides: Any) -> Settings:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    return await monitor_topics(rules_file=rules, **overrides)


async def send(settings: Settings, signals: list[DistressSignal]) -> None:
    await produce(settings.bootstrap_servers or "", settings.topics.signals, map(signal_record, signals))


async def test_a_webhook_gets_the_life_of_an_alert_signed_and_retried(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(answer=lambda number: 503 if number == 0 else 204) as receiver:
        settings = await with_rules(
            monitor_topics,
            tmp_path,
            webhook_url=receiver.url,
            webhook_secret=SecretStr("a secret that both share"),
        )
        async with running(settings):
            await send(settings, story(sad=6, calm=8))
            await eventually(lambda: len(receiver.taken) == 2)
    alerts = [Alert.model_validate_json(one.body) for one in receiver.taken]
    assert [one.status for one in alerts] == ["firing", "resolved"]
    assert receiver.attempts == 3
    for one in receiver.taken:
        timestamp = one.headers["X-Emotion-Timestamp"]
        signed = hmac.new(
            b"a secret that both share", timestamp.encode() + b"." + one.body, "sha256"
        ).hexdigest()
        assert one.headers["X-Emotion-Signature"] == f"sha256={signed}"
    assert receiver.taken[0].headers["X-Emotion-Delivery"] == f"{alerts[0].id}:1"


async def test_an_alert_that_a_webhook_refuses_goes_to_the_dead_letters(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(answer=lambda _: 410) as receiver:
        settings = await with_rules(
            monitor_topics,
            tmp_path,
            webhook_url=receiver.url,
            webhook_secret=SecretStr("a secret that both share"),
        )
        async with running(settings):
            await send(settings, story(sad=6, calm=0))
            letters: list[Any] = []

            async def arrived() -> bool:
                letters[:] = await read_committed_all(
                    settings.bootstrap_servers or "", settings.topics.undelivered
                )
                return bool(letters)

            await eventually(arrived)
    assert receiver.attempts == 1
    assert Alert.model_validate_json(letters[0].value).status == "firing"
    assert dict(letters[0].headers)["dlq_error"] == b"refused with status 410"


async def test_a_slow_receiver_does_not_stop_the_stream(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(holds=True) as receiver:
        settings = await with_rules(
            monitor_topics,
            tmp_path,
            webhook_url=receiver.url,
            webhook_secret=SecretStr("a secret that both share"),
        )
        async with running(settings) as started:
            await send(settings, story(sad=6, calm=0))
            await eventually(lambda: receiver.attempts == 1)
            await send(settings, [signal(0.1, author=f"author-{n}", offset=100 + n) for n in range(200)])
            taken = started.monitor.metrics.signals
            await eventually(lambda: taken._value.get() == 206, timeout_s=10)
            assert receiver.taken == []


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


def test_alertmanager_is_not_told_of_old_ends_nor_of_alerts_in_quiet_hours() -> None:
    board, outbox = Board(), Outbox(timedelta(seconds=60))
    now = datetime.now(UTC)
    board.take_alert(alert("resolved", ends_at=now - timedelta(minutes=6)))
    board.take_alert(alert(id="b", held=True))
    assert outbox.round(board, now) == []


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
