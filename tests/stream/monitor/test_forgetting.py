"""A person who wants to be forgotten: what is known of them goes, wherever it lies and whoever is behind."""

import json
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
from tests.stream.monitor.receivers import http_receiver
from tests.stream.monitor.test_app import alerts_of, delta_record, latest, signal_record
from tests.stream.monitor.test_cli import run_in_thread
from tests.stream.monitor.test_delivery import alert, eventually, posted, publish, with_webhook

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
    ids = [one.id.encode() for one in about]
    for place in range(2):
        keys = [one.key for one in deleted if one.partition == place]
        assert (keys[0], sorted(keys[1:])) == (pseudonym.encode(), sorted(ids))
    await publish(settings, *about)  # a monitor that is behind
    listed = await run_in_thread(settings, "alerts", "list", "--json")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [others.id]
    assert "3 alerts deleted" in (await forget(settings, "kim@example.org")).stdout


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


async def test_a_monitor_that_was_down_meanwhile_delivers_nothing_of_who_was_forgotten(
    monitor_topics: MonitorTopics, tmp_path: Path
) -> None:
    """It raises an alert about them on its way to the tombstone, and a checkpoint lies in between."""
    pseudonym, began = Pseudonyms(KEY).of("kim@example.org"), time.time() - 3600
    async with http_receiver() as receiver:
        settings = await with_webhook(monitor_topics, tmp_path, receiver, partitions=1)
        servers, names = settings.bootstrap_servers or "", settings.topics
        sad = [signal(0.95, author=pseudonym, offset=n, ts=began + n) for n in range(8)]
        others = [signal(0.1, author=f"author-{n}", offset=10 + n, ts=began) for n in range(4000)]
        await produce(servers, names.signals, map(signal_record, [*sad, *others]))
        assert (await forget(settings, "kim@example.org")).exit_code == 0
        async with running(settings) as started:

            async def deleted() -> bool:
                alerts = await latest(settings, names.alerts)
                return alerts.keys() > {pseudonym.encode()} and set(alerts.values()) == {None}

            await eventually(deleted)
            since = [signal(0.95, author=pseudonym, offset=5000 + n, ts=time.time() + n) for n in range(8)]
            await produce(servers, names.signals, map(signal_record, since))
            await eventually(lambda: bool(receiver.taken))
            assert list(started.monitor.board.alerts) == posted(receiver)
    assert posted(receiver)[0].endswith("messages-0-5004")


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
