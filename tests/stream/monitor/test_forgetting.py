"""A person who wants to be forgotten: what is known of them goes, wherever it lies and whoever is behind."""

import time

from stream.monitor.app import running
from stream.settings import Settings
from tests.records import Record, produce
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import signal
from tests.stream.monitor.test_app import alerts_of, latest, signal_record
from tests.stream.monitor.test_delivery import eventually


async def alerts_left(settings: Settings) -> list[str]:
    """Of what the topic of the alerts says of each alert last: where those stand that are not deleted."""
    return sorted(alert.status for alert in await alerts_of(settings))


async def test_the_monitor_deletes_alerts_that_have_ended_too(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics()
    servers, names = settings.bootstrap_servers or "", settings.topics
    began = time.time() - 3600
    scores = [0.95] * 8 + [0.0] * 8
    story = [signal(score, offset=n, ts=began + 60 * n) for n, score in enumerate(scores)]
    async with running(settings):
        await produce(servers, names.signals, map(signal_record, story))

        async def over() -> bool:
            return await alerts_left(settings) == ["resolved", "resolved"]

        await eventually(over)
        await produce(servers, names.signals, [Record(None, key=b"author-a")])

        async def gone() -> bool:
            return set((await latest(settings, names.alerts)).values()) == {None}

        await eventually(gone)
