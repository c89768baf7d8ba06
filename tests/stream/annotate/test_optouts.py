"""Who opted out is not read: from the first message on, whatever happens to the list or the topic."""

import asyncio
from pathlib import Path

import pytest

from model.fake import FakeClassifier
from stream.admin import add_partitions
from stream.annotate.app import Annotator
from stream.errors import RecordError, SettingsError
from stream.events import CountDelta, DistressSignal
from stream.privacy import Pseudonyms
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
