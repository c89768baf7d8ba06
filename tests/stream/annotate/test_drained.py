"""``--drain`` ends when what was there is labelled, whoever labels it and whatever lies behind it."""

import asyncio

from aiokafka import AIOKafkaProducer, TopicPartition

from stream.annotate.drained import ends_of_messages
from stream.settings import Settings
from tests.conftest import Topics
from tests.stream.annotate.test_annotator import annotate_all, events, message


async def produce_in_transactions(settings: Settings, aborted: int) -> None:
    """A message in each partition, and behind it so many in the first that nobody ever reads."""
    servers, topic = settings.bootstrap_servers, settings.input_topic
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"{settings.group_id}-in")
    async with producer:
        async with producer.transaction():
            for number in range(settings.partitions):
                await producer.send_and_wait(topic, message("joy: x"), partition=number)
        await producer.begin_transaction()
        for _ in range(aborted):
            await producer.send_and_wait(topic, message("fear: x"), partition=0)
        await producer.abort_transaction()


async def test_several_annotators_drain_a_topic_that_is_written_in_transactions(topics: Topics) -> None:
    settings = await topics(partitions=4)
    await produce_in_transactions(settings, aborted=3)
    async with asyncio.timeout(60):
        await asyncio.gather(*(annotate_all(settings) for _ in range(2)))
    assert [event.label for event in await events(settings)] == ["joy"] * 4


async def test_what_is_behind_the_last_message_is_not_waited_for(topics: Topics) -> None:
    settings = await topics(partitions=3)
    await produce_in_transactions(settings.model_copy(update={"partitions": 2}), aborted=20)
    places = [TopicPartition(settings.input_topic, number) for number in range(3)]
    assert list((await ends_of_messages(settings, places)).values()) == [1, 1, 0]
