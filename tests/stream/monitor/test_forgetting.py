"""A person who wants to be forgotten: what is known of them goes, wherever it lies and whoever is behind."""

import time
from pathlib import Path
from typing import Final

from click.testing import Result

from stream.cloudevents import to_json
from stream.monitor.app import running
from stream.privacy import OptOut, Pseudonyms
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_all
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import delta, signal
from tests.stream.monitor.test_app import alerts_of, delta_record, latest, signal_record
from tests.stream.monitor.test_cli import run_in_thread
from tests.stream.monitor.test_delivery import alert, eventually

KEY: Final = b"a key for the tests"
SURGE: Final = """
[[rule]]
name = "surge"
kind = "channel"
labels = ["sadness"]
window_s = 60
min_messages = 5
min_baseline_messages = 50
expire_s = 86400
"""
TRANSACTION_MS: Final = 500


async def alerts_left(settings: Settings) -> list[str]:
    """Of what the topic of the alerts says of each alert last: where those stand that are not deleted."""
    return sorted(alert.status for alert in await alerts_of(settings))


async def forget(settings: Settings, author: str) -> Result:
    return await run_in_thread(
        settings,
        *("forget", author, "--yes", f"--transaction-timeout-ms={TRANSACTION_MS}"),
        env={"EMOTION_AUTHOR_KEY": KEY.decode()},
    )


async def test_the_command_opts_out_and_deletes_in_every_partition(topics: Topics) -> None:
    """Before partitions were added, what it deletes lay in another one."""
    settings = await topics(partitions=2)
    servers, names = settings.bootstrap_servers or "", settings.topics
    pseudonym = Pseudonyms(KEY).of("kim@example.org")
    dm, group = f"dm:{pseudonym}", f"dm:{'0' * 32}"
    about = [
        alert(author=pseudonym),
        alert(id=f"surge:{dm}:1", kind="channel", author=None, channel=dm),
        alert(id=f"words:~0~{dm}:1", kind="phrase", author=None, channel="support", conversation=dm),
    ]
    others = alert(id="other:b:1", author="b", channel=group, conversation=group)
    for place in range(2):
        records = [Record(to_json(one.model_dump()), one.id.encode(), (), place) for one in (*about, others)]
        await produce(servers, names.alerts, records)
    done = await forget(settings, " kim@example.org")
    assert done.exit_code == 0, done.output
    assert "3 alerts deleted" in done.stdout
    optout = OptOut(Pseudonyms(KEY))
    for record in await read_committed_all(servers, names.optout):
        optout.update((record.key or b"").decode(), opted_out=record.value is not None)
    assert "kim@example.org" in optout
    for topic in (names.signals, names.counts):
        assert [(one.partition, one.key, one.value) for one in await read_committed_all(servers, topic)] == [
            (place, pseudonym.encode(), None) for place in range(2)
        ]
    deleted = [one for one in await read_committed_all(servers, names.alerts) if one.value is None]
    assert sorted((one.partition, one.key) for one in deleted) == sorted(
        (place, one.id.encode()) for place in range(2) for one in about
    )


async def test_it_deletes_when_what_was_being_published_at_the_opt_out_is_published(topics: Topics) -> None:
    settings = await topics(partitions=1)
    servers, names = settings.bootstrap_servers or "", settings.topics
    assert (await forget(settings, "kim@example.org")).exit_code == 0
    (opted_out,) = await read_committed_all(servers, names.optout)
    (tombstone,) = await read_committed_all(servers, names.signals)
    assert tombstone.timestamp - opted_out.timestamp >= TRANSACTION_MS


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


async def test_the_monitor_deletes_what_it_knows_of_a_channel_called_after_them(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    rules = tmp_path / "surge.toml"
    rules.write_text(SURGE)
    settings = await monitor_topics(rules_file=rules, judge_delay_s=0)
    servers, names = settings.bootstrap_servers or "", settings.topics
    pseudonym = Pseudonyms(KEY).of("kim@example.org")
    begin = time.time() // 3600 * 3600 - 6 * 3600
    calm = {begin + 60 * n: {"joy": 9, "sadness": 1} for n in range(50)}
    sad = {begin + 4 * 3600: {"sadness": 60}, begin + 4 * 3600 + 60: {"sadness": 60}}
    deltas = [
        delta({start: labels}, first=1000 * n, channel=f"dm:{pseudonym}")
        for n, (start, labels) in enumerate({**calm, **sad}.items())
    ]
    changelog = f"{settings.monitor_group_id}-counts-changelog"

    async def named() -> set[str]:
        """The topics whose last records name them."""
        return {
            topic
            for topic in (names.alerts, changelog)
            for key, value in (await latest(settings, topic)).items()
            if value is not None and pseudonym.encode() in key + value
        }

    async with running(settings):
        await produce(servers, names.counts, map(delta_record, deltas))

        async def known() -> bool:
            return await named() == {names.alerts, changelog}

        await eventually(known)
        assert (await forget(settings, "kim@example.org")).exit_code == 0

        async def gone() -> bool:
            return not await named()

        await eventually(gone)
