"""Several input topics: one outcome a message, topics come and go, and nothing that we write is read."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from model.fake import FakeClassifier
from stream.admin import connected, create_topics
from stream.annotate.app import Annotator
from stream.settings import Settings
from tests.brokers import ApacheKafka, Broker
from tests.conftest import Topics
from tests.records import Record, delete_topic, produce, read_committed_all
from tests.stream.annotate.test_annotator import annotate_all, annotating, events, message, until
from tests.stream.commands import run_beside


@pytest.fixture(autouse=True)
def on_apache_kafka(broker: Broker) -> None:
    if not isinstance(broker, ApacheKafka):
        pytest.skip("the embedded broker makes topics when they are asked for: set KAFKA_HOME")


async def make(settings: Settings, *names: str, partitions: int = 1) -> None:
    async with connected(settings) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])


async def send(settings: Settings, topic: str, count: int) -> None:
    values = [Record(message(f"joy: number {number} of {topic}")) for number in range(count)]
    await produce(str(settings.bootstrap_servers), topic, values)


def finished(annotator: Annotator) -> int:
    return annotator.progress.finished_messages


async def by_topic(settings: Settings) -> Counter[str]:
    """Labelled messages by the last part of their topic's name; each has an id of its own."""
    labelled = await events(settings)
    assert len({event.id for event in labelled}) == len(labelled)
    return Counter(event.source.topic.rpartition(".")[2] for event in labelled)


def pattern(name: str, **overrides: Any) -> dict[str, Any]:
    """Settings that read what begins with the test's name: outputs begin so, too."""
    return {"input_pattern": rf"{name}\..*", "topic_prefix": f"{name}.out", **overrides}


@pytest.fixture
async def matching(make_settings: Any, unique_name: str) -> Settings:
    """Settings with a pattern that also matches what we write; the outputs are there, with one partition."""
    given = make_settings(partitions=1, input_topic="none").model_dump(exclude_unset=True)
    del given["input_topic"]
    settings = Settings(**given | pattern(unique_name, monitor_group_id=f"{unique_name}.monitor"))
    await create_topics(settings)
    return settings


async def test_two_topics_are_labelled_by_one_annotator_with_one_outcome_each(
    topics: Topics, unique_name: str
) -> None:
    settings = await topics(input_topic=f"{unique_name}.chat, {unique_name}.mail", partitions=2)
    chat, mail = f"{unique_name}.chat", f"{unique_name}.mail"
    for _ in range(2):  # the second annotator goes on where the first ended, in both
        await send(settings, chat, 20)
        await send(settings, mail, 10)
        await produce(str(settings.bootstrap_servers), mail, [b"{oops"])
        await annotate_all(settings)
    assert await by_topic(settings) == {"chat": 40, "mail": 20}
    dead = await read_committed_all(str(settings.bootstrap_servers), settings.topics.dlq)
    assert [dict(record.headers)["dlq_topic"] for record in dead] == [mail.encode()] * 2

    replayed = await run_beside("replay", settings=settings)
    assert "2  dead letters sent back" in replayed.stdout, replayed.output
    assert len(await read_committed_all(str(settings.bootstrap_servers), mail)) == 24


async def test_each_of_two_topics_has_a_lag_of_its_own(topics: Topics, unique_name: str) -> None:
    chat, mail = f"{unique_name}.chat", f"{unique_name}.mail"
    settings = await topics(input_topic=f"{chat},{mail}", partitions=2)
    await send(settings, chat, 20)
    async with annotating(settings) as annotator:

        def lags() -> list[float | None]:
            return [
                annotator.metrics.registry.get_sample_value(
                    "emotion_lag_messages", {"topic": topic, "partition": str(number)}
                )
                for topic in (chat, mail)
                for number in range(2)
            ]

        await until(lambda: lags() == [0, 0, 0, 0])


async def test_a_topic_is_deleted_and_the_other_goes_on(topics: Topics, unique_name: str) -> None:
    chat, mail = f"{unique_name}.chat", f"{unique_name}.mail"
    settings = await topics(input_topic=f"{chat},{mail}", partitions=1)
    async with annotating(settings) as annotator:
        await send(settings, chat, 5)
        await send(settings, mail, 5)
        await until(lambda: finished(annotator) == 10)
        await delete_topic(settings, mail)
        await until(lambda: mail in (annotator.unready() or ""))
        exists = annotator.metrics.registry.get_sample_value
        assert exists("emotion_input_topic_exists", {"topic": mail}) == 0
        assert exists("emotion_input_topic_exists", {"topic": chat}) == 1
        await send(settings, chat, 5)
        await until(lambda: finished(annotator) == 15)
        await make(settings, mail)
        await send(settings, mail, 3)
        await until(lambda: finished(annotator) == 18 and annotator.unready() is None)
    assert await by_topic(settings) == {"chat": 10, "mail": 8}


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
async def test_a_topic_that_is_made_anew_while_its_messages_are_in_work_is_read_at_once(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    monkeypatch.setattr("stream.annotate.intake.SLICE_S", -1.0)  # most of what is polled waits to be read
    settings = await topics(partitions=before, max_in_flight_messages=20)
    servers, topic = str(settings.bootstrap_servers), settings.input_topic
    old = [Record(message("fear: x"), partition=number % before) for number in range(1500)]
    new = [Record(message("joy: x"), partition=number % after) for number in range(100)]
    await produce(servers, topic, old)
    async with annotating(settings, FakeClassifier(delay_ms=5)) as annotator:
        await until(lambda: finished(annotator) > 40)
        await delete_topic(settings, topic)
        await make(settings, topic, partitions=after)
        await produce(servers, topic, new)
        async with asyncio.timeout(20):
            while Counter(event.label for event in await events(settings))["joy"] < len(new):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    labelled = await events(settings)
    assert len({event.id for event in labelled}) == len(labelled)
    assert Counter(event.label for event in labelled)["joy"] == len(new)


async def test_topics_that_come_later_and_match_are_read_from_their_beginning(
    matching: Settings, unique_name: str
) -> None:
    """Within seconds, also where the group starts at the latest; what does not match is not read."""
    settings = matching.model_copy(update={"auto_offset_reset": "latest"})
    async with annotating(settings) as annotator:
        await until(lambda: "no input topic is there" in (annotator.unready() or ""))
        for name in ("chat", "mail"):
            await make(settings, f"{unique_name}.{name}")
            await send(settings, f"{unique_name}.{name}", 10)
            await until(lambda: finished(annotator) % 10 == 0 and finished(annotator) > 0)
        await until(lambda: finished(annotator) == 20 and annotator.unready() is None)
        await delete_topic(settings, f"{unique_name}.mail")
        await send(settings, f"{unique_name}.chat", 5)
        await until(lambda: finished(annotator) == 25)
    assert await by_topic(settings) == {"chat": 15, "mail": 10}


async def test_what_we_write_is_never_read_though_the_pattern_matches_it(
    matching: Settings, unique_name: str
) -> None:
    await make(matching, f"{unique_name}.chat", f"{unique_name}.monitor-changelog", f"{unique_name}x.chat")
    await send(matching, f"{unique_name}.chat", 10)
    await send(matching, f"{unique_name}.monitor-changelog", 10)
    await send(matching, f"{unique_name}x.chat", 10)
    for _ in range(2):  # outputs of the first would be input of the second
        await annotate_all(matching)
    assert await by_topic(matching) == {"chat": 10}
    assert await read_committed_all(str(matching.bootstrap_servers), matching.topics.dlq) == []


async def test_groups_and_topics_whose_names_run_together_do_not_fence_each_other(
    topics: Topics, unique_name: str
) -> None:
    """``team`` on ``a-x`` and ``team-a`` on ``x``: joined by hyphens, both would own one transactional id."""
    prefix = {"topic_prefix": f"{unique_name}.out", "partitions": 1}
    one = await topics(input_topic=f"a-{unique_name}.x", group_id=f"{unique_name}.team", **prefix)
    other = await topics(input_topic=f"{unique_name}.x", group_id=f"{unique_name}.team-a", **prefix)
    async with annotating(one) as first, annotating(other) as second:
        for round_ in range(1, 4):
            await send(one, one.input_topic, 5)
            await send(other, other.input_topic, 5)
            await until(lambda: finished(first) == finished(second) == 5 * round_)  # noqa: B023
        for annotator in (first, second):
            counted = annotator.metrics.registry.get_sample_value
            assert counted("emotion_transactions_total", {"result": "fenced"}) == 0
            assert counted("emotion_rejoins_total") == 0
    assert Counter(event.source.topic for event in await events(one)) == {
        one.input_topic: 15,
        other.input_topic: 15,
    }
