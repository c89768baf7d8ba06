"""Alerts reach a webhook, and a receiver that is slow or dead harms nobody else."""

import asyncio
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from stream.admin import add_partitions
from stream.cloudevents import to_json
from stream.dashboard.feed import Feed
from stream.errors import SettingsError
from stream.events import DistressSignal
from stream.monitor.app import running
from stream.monitor.events import Alert, Evidence, Review, Verdict
from stream.monitor.targets import check_target, session
from stream.monitor.webhook import delivery
from stream.settings import Settings
from tests.records import Record, produce, read_committed_all
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import AUTHOR, signal
from tests.stream.monitor.receivers import HttpReceiver, http_receiver
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


async def with_webhook(
    monitor_topics: MonitorTopics, tmp_path: Path, receiver: HttpReceiver, **overrides: Any
) -> Settings:
    return await with_rules(
        monitor_topics,
        tmp_path,
        webhook_url=receiver.url,
        webhook_secret=SecretStr("a secret that both share"),
        **overrides,
    )


async def send(settings: Settings, signals: list[DistressSignal]) -> None:
    await produce(settings.bootstrap_servers or "", settings.topics.signals, map(signal_record, signals))


async def publish(settings: Settings, *alerts: Alert, ago_s: float = 0) -> None:
    at_ms = int((time.time() - ago_s) * 1000)
    records = [Record(to_json(one.model_dump()), key=one.id.encode(), timestamp_ms=at_ms) for one in alerts]
    await produce(settings.bootstrap_servers or "", settings.topics.alerts, records)


async def delete(settings: Settings, alert_id: str) -> None:
    tombstone = Record(None, key=alert_id.encode())
    await produce(settings.bootstrap_servers or "", settings.topics.alerts, [tombstone])


def posted(receiver: HttpReceiver) -> list[str]:
    return [Alert.model_validate_json(one.body).id for one in receiver.taken]


async def say(settings: Settings, verdict: Verdict, alert_id: str) -> None:
    said = Review(
        id=str(uuid.uuid4()), alert_id=alert_id, rule="sustained", verdict=verdict, reviewer="r",
        at=datetime.now(UTC),
    )  # fmt: skip
    await produce(
        settings.bootstrap_servers or "", settings.topics.reviews, [Record(to_json(said.model_dump()))]
    )


async def test_a_webhook_gets_the_life_of_an_alert_signed_and_retried(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(answer=lambda number: 503 if number == 0 else 204) as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver)
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


async def test_what_a_person_has_spoken_of_is_not_posted_again_while_it_fires(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        verdicts: tuple[Verdict, ...] = ("acknowledged", "confirmed", "dismissed")
        async with running(settings) as started:
            board = started.monitor.board
            await publish(settings, *(alert(id=f"{verdict}:a:1") for verdict in verdicts))
            await eventually(lambda: len(receiver.taken) == 3)
            for verdict in verdicts:
                await say(settings, verdict, f"{verdict}:a:1")
            await eventually(lambda: len(board.reviews) == 3)
            await publish(settings, *(alert(id=f"{verdict}:a:1", revision=2) for verdict in verdicts))
            await publish(
                settings, *(alert("resolved", id=f"{verdict}:a:1", revision=3) for verdict in verdicts)
            )
            await eventually(lambda: len(receiver.taken) >= 6)
    alerts = [Alert.model_validate_json(one.body) for one in receiver.taken]
    assert [one.revision for one in alerts] == [1, 1, 1, 3, 3, 3]


@pytest.mark.every_broker
async def test_a_webhook_that_is_switched_on_late_is_not_told_of_old_alerts(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=2)
        alerts = [TopicPartition(settings.topics.alerts, number) for number in range(2)]
        await publish(settings, *(alert(id=f"old-{n}:a:1") for n in range(8)), ago_s=3600)
        await publish(settings, alert(id="new:a:1"), ago_s=60)
        async with running(settings):
            await eventually(lambda: bool(receiver.taken))
            async with AIOKafkaConsumer(
                bootstrap_servers=settings.bootstrap_servers, group_id=f"{settings.monitor_group_id}-webhook"
            ) as group:
                assert None not in [await group.committed(place) for place in alerts]
        await publish(settings, alert(id="while-no-monitor-ran:a:1"), ago_s=1800)
        async with running(settings):
            await eventually(lambda: len(receiver.taken) >= 2)
    assert posted(receiver) == ["new:a:1", "while-no-monitor-ran:a:1"]


async def test_what_was_dismissed_or_forgotten_before_it_could_be_posted_is_not(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        await publish(settings, alert(id="dismissed:a:1"), alert(id="forgotten:a:1"))
        await say(settings, "dismissed", "dismissed:a:1")
        await delete(settings, "forgotten:a:1")
        await publish(settings, alert(id="other:a:1"))
        async with running(settings):
            await eventually(lambda: bool(receiver.taken))
    assert posted(receiver) == ["other:a:1"]


async def test_what_is_forgotten_while_a_webhook_does_not_take_it_is_given_up_without_a_trace(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    answers = [503]
    async with http_receiver(answer=lambda _: answers[-1]) as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        async with running(settings) as started:
            await publish(settings, alert(id="forgotten:a:1"))
            await eventually(lambda: receiver.attempts > 0)
            await delete(settings, "forgotten:a:1")
            await eventually(lambda: started.monitor.board.is_forgotten(alert(id="forgotten:a:1")))
            answers.append(204)
            await publish(settings, alert(id="other:a:1"))
            await eventually(lambda: bool(receiver.taken))
    assert posted(receiver) == ["other:a:1"]
    assert not await read_committed_all(settings.bootstrap_servers or "", settings.topics.undelivered)


async def test_what_a_late_monitor_publishes_of_who_was_forgotten_before_is_not_posted(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        async with running(settings):
            await delete(settings, AUTHOR)
            await publish(settings, alert(id=f"before:{AUTHOR}:1", author=AUTHOR))
            since = datetime.now(UTC) + timedelta(seconds=5)
            await publish(settings, alert(id=f"after:{AUTHOR}:1", author=AUTHOR, starts_at=since))
            await eventually(lambda: bool(receiver.taken))
    assert posted(receiver) == [f"after:{AUTHOR}:1"]


async def test_an_alert_is_posted_once_the_board_knows_what_stands_before_it(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        async with running(settings) as started:
            await publish(settings, alert(id="first:a:1"))
            await eventually(lambda: len(receiver.taken) == 1)
            (board,) = (task for task in started.monitor._tasks if task.get_name() == "the board")
            board.cancel()
            await asyncio.wait([board])
            await delete(settings, AUTHOR)
            await publish(settings, alert(id=f"before:{AUTHOR}:1", author=AUTHOR), alert(id="other:a:1"))
            await asyncio.sleep(1)
            assert posted(receiver) == ["first:a:1"]
            started.monitor.spawn("the board", started.monitor.tail.run())
            await eventually(lambda: len(receiver.taken) == 2)
    assert posted(receiver) == ["first:a:1", "other:a:1"]


async def test_an_alert_that_a_webhook_refuses_goes_to_the_dead_letters(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(answer=lambda _: 410) as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver)
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


@pytest.mark.parametrize(
    "channel", ["desk\nX-Injected: 1", "\0\r\t\x7f", "50%", "\u202e\U0001f9e1", "\u2028" * 1024]
)
async def test_an_alert_whose_channel_has_a_name_that_no_header_holds_is_posted(
    channel: str, monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        named = alert(id=f"surge:{channel}:1", kind="channel", author=None, channel=channel)
        async with running(settings) as started:
            await publish(settings, named, alert(id="surge:other:1"))
            await eventually(lambda: len(receiver.taken) == 2 or started.monitor.failure is not None)
    assert posted(receiver) == [named.id, "surge:other:1"]
    assert "X-Injected" not in receiver.taken[0].headers


def test_deliveries_of_two_alerts_are_never_taken_for_one() -> None:
    ids = ["surge:a\nb:1", "surge:a%0Ab:1", "surge:a b:1", "surge:a%250Ab:1"]
    assert len({delivery(alert(id=one)) for one in ids}) == len(ids)


async def test_a_slow_receiver_does_not_stop_the_stream(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    async with http_receiver(holds=True) as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver)
        async with running(settings) as started:
            await send(settings, story(sad=6, calm=0))
            await eventually(lambda: receiver.attempts == 1)
            await send(settings, [signal(0.1, author=f"author-{n}", offset=100 + n) for n in range(200)])
            taken = started.monitor.metrics.signals
            await eventually(lambda: taken._value.get() == 206, timeout_s=10)
            assert receiver.taken == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://alerts.example.org/in", {}),
        ("http://127.0.0.1:9093", {}),
        ("http://localhost:9093", {}),
        ("http://[::1]:9093", {}),
        ("http://alertmanager:9093", {"allow_http_receivers": True}),
        ("https://10.0.0.7/in", {"allow_private_receivers": True}),
        ("http://169.254.169.254/", {"allow_private_receivers": True, "allow_http_receivers": True}),
    ],
)
def test_plain_http_and_private_addresses_are_sent_to_only_where_a_setting_allows_them(
    url: str, allowed: dict[str, bool]
) -> None:
    check_target(url, Settings(**allowed))
    if allowed:
        with pytest.raises(SettingsError, match="allow_"):
            check_target(url, Settings())


async def test_a_name_that_leads_into_a_private_network_is_refused_when_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [
            {
                "hostname": "inside.example",
                "host": "10.0.0.7",
                "port": 443,
                "family": 2,
                "proto": 0,
                "flags": 0,
            }
        ]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    async with session(Settings(), 5.0) as client:
        with pytest.raises(aiohttp.ClientConnectorError, match="allow_private_receivers"):
            await client.post("https://inside.example/in")


@pytest.mark.parametrize("reader", ["monitor", "dashboard"])
async def test_a_verdict_in_a_partition_that_the_reviews_get_later_is_heard(
    monitor_topics: MonitorTopics, reader: str
) -> None:
    settings = await monitor_topics(partitions=1)
    servers, names = str(settings.bootstrap_servers), settings.topics
    fired, partition = alert(), 2
    await produce(servers, names.alerts, [Record(to_json(fired.model_dump()), fired.id.encode())])
    async with AsyncExitStack() as stack:
        if reader == "monitor":
            board = (await stack.enter_async_context(running(settings))).monitor.board
        else:
            feed = Feed(settings)
            board = feed.queue._board
            reading = asyncio.create_task(feed.run())
            stack.callback(reading.cancel)
        await eventually(lambda: fired.id in board.alerts)
        await add_partitions(settings, names.reviews, partition + 1)
        verdict = Review(
            id="1",
            alert_id=fired.id,
            rule=fired.rule,
            verdict="dismissed",
            reviewer="kim",
            at=datetime.now(UTC),
        )
        await produce(
            servers, names.reviews, [Record(to_json(verdict.model_dump()), b"k", partition=partition)]
        )
        await eventually(lambda: board.state(fired) == "dismissed")
