"""Who opted out is not read: from the first message on, whatever happens to the list or the topic."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from model.fake import FakeClassifier
from stream.admin import add_partitions
from stream.annotate import optouts
from stream.annotate.app import Annotator
from stream.annotate.optouts import following
from stream.annotate.polling import poll
from stream.errors import RecordError, SettingsError
from stream.events import CountDelta, DistressSignal
from stream.privacy import OptOut, Pseudonyms
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce, produce_batch, read_committed_all, read_committed_until
from tests.stream.annotate.test_annotator import annotate_all, annotating, events, message, until


async def test_opted_out_authors_are_only_counted_in_the_total(topics: Topics, tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\n")
    settings = await topics(optout_file=file)
    values = [
        message(f"joy: {number}", author=author, channel="c")
        for number in range(10)
        for author in ("kim", "lee")
    ]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    await annotate_all(settings)
    pseudonyms = Pseudonyms(b"a key for the tests")
    assert {event.author for event in await events(settings)} == {pseudonyms.of("lee")}
    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.counts)
    deltas = [CountDelta.model_validate_json(record.value or b"") for record in records]
    opted_out = {
        d.channel: sum(w.opted_out for w in d.windows) for d in deltas if any(w.opted_out for w in d.windows)
    }
    assert set(opted_out) == {"*"}
    signals = await read_committed_all(str(settings.bootstrap_servers), settings.topics.signals)
    authors = {DistressSignal.model_validate_json(record.value or b"").author for record in signals}
    assert authors == {pseudonyms.of("lee")}


async def test_an_opt_out_on_the_topic_holds_from_the_first_message_on(topics: Topics) -> None:
    settings = await topics(optout_topic=True)
    servers = str(settings.bootstrap_servers)
    kim = Pseudonyms(b"a key for the tests").of("kim").encode()
    await produce(servers, settings.topics.optout, [Record(b"1", key=kim)])
    await produce(
        servers, settings.input_topic, [message("joy: x", author="kim"), message("joy: y", author="lee")]
    )
    await annotate_all(settings)
    assert len(await events(settings)) == 1


async def test_a_list_that_is_rewritten_opens_no_hole(topics: Topics, tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\n")
    settings = await topics(optout_file=file, partitions=1)
    servers = str(settings.bootstrap_servers)
    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        file.write_text("")
        await until(lambda: annotator.metrics.optout_refused._value.get() == 1)
        values = [message("joy: x", author=author) for author in ("kim", "lee") for _ in range(20)]
        await produce(servers, settings.input_topic, values)
        await until(lambda: annotator.metrics.messages.labels("labelled")._value.get() == 20)
    assert annotator.metrics.messages.labels("opted_out")._value.get() == 20
    assert annotator.metrics.optout_held._value.get() == 1
    assert annotator.metrics.optout_reload_failures._value.get() == 1


async def test_opt_outs_in_a_partition_that_the_topic_gets_later_hold_too(topics: Topics) -> None:
    settings = await topics(optout_topic=True, partitions=1)
    servers = str(settings.bootstrap_servers)
    kim = Pseudonyms(b"a key for the tests").of("kim").encode()
    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        await add_partitions(settings, settings.topics.optout, 2)
        await produce(servers, settings.topics.optout, [Record(b"1", kim, partition=1)])
        await until(lambda: annotator.metrics.optout_authors._value.get() == 1)


async def test_an_opt_out_topic_without_a_key_is_refused(topics: Topics) -> None:
    settings = await topics(optout_topic=True, author_key=None)
    with pytest.raises(SettingsError, match="EMOTION_AUTHOR_KEY"):
        await annotate_all(settings)


@pytest.mark.usefixtures("unpacking_as_before")
async def test_an_opt_out_topic_that_cannot_be_read_to_its_end_ends_the_process(topics: Topics) -> None:
    settings = await topics(partitions=1, max_unpacked_bytes=200_000, optout_topic=True)
    servers = str(settings.bootstrap_servers)
    running = asyncio.create_task(Annotator(settings, FakeClassifier()).run())
    await produce(servers, settings.input_topic, [message("joy: x")])
    await read_committed_until(servers, settings.topics.emotions, 1)
    await produce_batch(servers, settings.topics.optout, [bytes(300_000)], codec="zstd", key=b"kim")
    for ended in (running, annotate_all(settings)):
        with pytest.raises(RecordError, match=r"offsets 0 to 0 .* is not read: .* who opted out"):
            await ended


async def test_an_opt_out_topic_that_no_broker_tells_of_is_waited_for_and_a_stop_is_heard() -> None:
    settings, stopped = Settings(bootstrap_servers="127.0.0.1:1"), asyncio.Event()
    optout = OptOut(Pseudonyms(b"a key for the tests"))
    asyncio.get_running_loop().call_later(0.3, stopped.set)
    async with asyncio.timeout(10), following(settings, 1, optout, stopped):
        assert stopped.is_set()


async def test_an_opt_out_topic_with_a_batch_that_cannot_be_read_ends_the_start(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1, optout_topic=True)
    await produce(
        str(settings.bootstrap_servers), settings.topics.optout, [Record(b"1", b"kim")], codec="zstd"
    )
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    with pytest.raises(RecordError, match=r"emotions.optout, partition 0: .*offset 0 cannot be read.*zstd"):
        await annotate_all(settings)


async def test_following_the_opt_out_topic_does_not_end_without_a_word(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1, optout_topic=True)
    annotator = Annotator(settings, FakeClassifier())
    running = asyncio.create_task(annotator.run())
    await until(lambda: annotator.unready() is None)
    monkeypatch.setattr(OptOut, "update", lambda *_, **__: {}[0])  # an error that nobody foresaw
    await produce(str(settings.bootstrap_servers), settings.topics.optout, [Record(b"1", b"kim")])
    ended, _ = await asyncio.wait([running], timeout=20)
    annotator.stop()
    assert ended
    with pytest.raises(KeyError):
        await running


async def test_who_opted_out_once_more_stays_so_while_the_topic_is_followed_anew(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    servers, topic = str(settings.bootstrap_servers), settings.topics.optout
    await produce(servers, topic, [Record(b"1", b"kim"), Record(None, b"kim"), Record(b"1", b"kim")])
    taken: list[tuple[str, bool]] = []
    monkeypatch.setattr(OptOut, "update", lambda _, key, *, opted_out: taken.append((key, opted_out)))
    optout = OptOut(Pseudonyms(b"a key for the tests"))
    failed = asyncio.Event()

    async def fails_once(*arguments: Any, **options: Any) -> Any:
        if len(taken) == 3 and not failed.is_set():
            failed.set()
            raise KafkaError
        return await poll(*arguments, **options)

    monkeypatch.setattr(optouts, "poll", fails_once)
    async with following(settings, 1, optout, asyncio.Event()):
        await asyncio.wait_for(failed.wait(), 10)
        await produce(servers, topic, [Record(b"1", b"lee")])
        await until(lambda: len(taken) > 3)
    assert taken == [("kim", True), ("kim", False), ("kim", True), ("lee", True)]
