"""A part that dies or hangs makes health fail and ends the monitor; the web server shows what there is."""

import asyncio
import time
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import aiohttp
import pytest

from stream.cloudevents import to_json
from stream.errors import SettingsError, StalledError, StreamError
from stream.monitor.app import Running, running
from stream.monitor.board import State
from stream.monitor.events import Alert
from stream.monitor.partitions import Partitions
from stream.settings import Settings
from tests.brokers import Broker
from tests.deployed import asked, served
from tests.records import produce
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.test_app import delta_record, two_channels
from tests.stream.monitor.test_delivery import eventually, send, story, with_rules


async def get(started: Running, path: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{started.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        json = response.content_type == "application/json"
        return response.status, await (response.json() if json else response.text())


async def ends(started: Running, timeout_s: float = 20) -> StreamError:
    """What the monitor ends with."""
    with pytest.raises(StreamError) as raised:
        async with asyncio.timeout(timeout_s):
            await started.monitor.run_until(asyncio.Event())
    return raised.value


async def test_the_web_server_shows_counters_alerts_health_and_metrics(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    settings = await with_rules(monitor_topics, tmp_path, http_port=0)
    await produce(
        settings.bootstrap_servers or "", settings.topics.counts, map(delta_record, two_channels(5))
    )
    async with running(settings) as started:
        await send(settings, story(sad=6, calm=0))

        async def shown() -> bool:
            counters = (await get(started, "/api/counters?channel=support&window_s=3600"))[1]["counters"]
            alerts = (await get(started, "/api/alerts"))[1]["alerts"]
            return [one["labels"] for one in counters] == [{"joy": 5}] and bool(alerts)

        await eventually(shown)
        assert (await get(started, "/healthz"))[0] == 200
        assert (await get(started, "/readyz"))[0] == 200
        (alert,) = (await get(started, "/api/alerts?state=firing"))[1]["alerts"]
        status, one = await get(started, f"/api/alerts/{alert['id']}")
        assert (status, one["state"], one["reviews"]) == (200, "firing", [])
        assert (await get(started, "/api/alerts/none"))[0] == 404
        odd = "anger-surge:rooms/{7}?#%2F:1"  # the channel's name is in it, as it is
        started.monitor.board.take_alert(Alert.model_validate_json(to_json(alert | {"id": odd})))
        assert (await get(started, f"/api/alerts/{quote(odd, safe='')}"))[1]["id"] == odd
        started.monitor.board.drop_alert(odd)
        assert (await get(started, "/api/precision"))[1] == {}
        for state in get_args(State):
            status, found = await get(started, f"/api/alerts?state={state}")
            assert (status, len(found["alerts"])) == (200, int(state == "firing"))
        assert (await get(started, "/api/counters?window_s=x"))[0] == 400
        metrics = (await get(started, "/metrics"))[1]
        assert "emotion_monitor_deltas_total 10.0" in metrics
        assert asked("monitor") <= served(metrics)
        assert "author-a" not in metrics


async def test_a_dead_agent_makes_health_fail_and_ends_the_monitor(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Partitions, "take_delta", broken)
    settings = await monitor_topics(http_port=0)
    await produce(
        settings.bootstrap_servers or "", settings.topics.counts, map(delta_record, two_channels(1))
    )
    async with running(settings) as started:
        error = await ends(started)
        assert "ZeroDivisionError" in str(error)
        assert (await get(started, "/healthz"))[0] == 503
        assert (await get(started, "/readyz"))[0] == 503
    assert error.exit_code != 0


async def test_what_an_agent_failed_on_comes_again_after_a_restart(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust alone would count it as done."""
    settings = await monitor_topics()
    await produce(
        settings.bootstrap_servers or "", settings.topics.counts, map(delta_record, two_channels(3))
    )
    with monkeypatch.context() as patched:
        patched.setattr(Partitions, "take_delta", lambda *_: 1 / 0)
        async with running(settings) as started:
            await ends(started)
    async with running(settings) as started:
        await eventually(lambda: started.monitor.metrics.deltas._value.get() == 6)


async def test_a_recovery_that_hangs_ends_the_monitor(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await monitor_topics(stall_timeout_s=6)
    async with running(settings) as started:
        await eventually(lambda: started.monitor.ready)
        started.monitor.membership.complete.clear()
        started.monitor.membership.assigned = frozenset()
        assert isinstance(await ends(started), StalledError)


async def test_a_group_that_refuses_the_monitor_ends_it(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(session_timeout_ms=10)
    async with running(settings) as started:
        error = await ends(started)
    assert isinstance(error, SettingsError)
    assert "session_timeout_ms" in str(error)


async def test_a_broker_that_goes_away_ends_the_monitor_rather_than_letting_it_idle(
    monitor_topics: MonitorTopics, broker: Broker
) -> None:
    settings = await monitor_topics(stall_timeout_s=3, session_timeout_ms=6000)
    async with running(settings) as started:
        await eventually(lambda: started.monitor.ready)
        broker.pause()  # type: ignore[attr-defined]
        try:
            counts = started.monitor.partitions.counts
            for partition in counts.values():
                partition.apply(next(iter(two_channels(1))), 0)
            began = time.monotonic()
            error = await ends(started)
        finally:
            broker.resume()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20
    assert error.exit_code != 0


async def test_changed_rules_are_in_force_without_a_restart(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    settings: Settings = await with_rules(monitor_topics, tmp_path)
    async with running(settings) as started:
        assert settings.rules_file is not None
        settings.rules_file.write_text("")
        metrics = started.monitor.metrics
        await eventually(lambda: metrics.rules_reload_failures._value.get() == 1)
        assert (metrics.rules._value.get(), metrics.rules_refused._value.get()) == (1, 1)
        settings.rules_file.write_text("[[rule]]\nname = 'drift'\nkind = 'drift'\n# end: 1\n")
        await eventually(lambda: [rule.name for rule in started.monitor.partitions.rules.rules] == ["drift"])
