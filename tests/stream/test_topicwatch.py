"""Looking at topics, by whoever asks."""

import asyncio

from stream.kafka import connection
from stream.topicwatch import TopicWatch
from tests.conftest import Topics


async def test_looks_at_the_same_time_do_not_spoil_each_other(topics: Topics) -> None:
    """As an annotator looks before it joins the group, while it looks once a second anyway."""
    settings = await topics(partitions=2)
    watch = TopicWatch(connection(settings), [settings.input_topic], 5.0)
    try:
        for views in await asyncio.gather(*(watch.look() for _ in range(3))):
            assert views[settings.input_topic].partitions == 2
    finally:
        await watch.close()
