"""One serialisation for all readers, and no reader holds another back."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from stream.dashboard.app import Renderer
from stream.dashboard.feed import Feed
from stream.dashboard.publish import Publisher
from stream.settings import Settings
from tests.stream.dashboard.scene import counter

TOTAL = ("*", None)


def test_a_part_is_serialised_once_for_any_number_of_readers() -> None:
    publisher = Publisher()
    publisher.offer("queue", lambda: {"waiting": 1})
    readers: list[dict[str, int]] = [{} for _ in range(100)]
    assert {publisher.news(TOTAL, seen) for seen in readers} == {b'event: queue\ndata: {"waiting":1}\n\n'}
    assert publisher.serialised == 1


def test_only_what_changed_is_sent_again() -> None:
    publisher, seen = Publisher(), dict[str, int]()
    publisher.offer("a", lambda: 1)
    publisher.offer("b", lambda: 1)
    publisher.news(TOTAL, seen)
    publisher.offer("a", lambda: 1)
    publisher.offer("b", lambda: 2)
    assert publisher.news(TOTAL, seen) == b"event: b\ndata: 2\n\n"
    assert publisher.news(TOTAL, seen) == b""


def test_a_part_that_cannot_be_made_leaves_the_others_and_its_own_last_one() -> None:
    publisher = Publisher()
    publisher.offer("a", lambda: 1)
    publisher.offer("a", lambda: 10**30)
    with publisher.watching(TOTAL):
        publisher.offer_mix(TOTAL, lambda: 10**30)
        assert publisher.news(TOTAL, {}) == b"event: a\ndata: 1\n\n"


def test_a_slow_reader_gets_the_newest_version_and_none_between() -> None:
    publisher, seen = Publisher(), dict[str, int]()
    for n in range(1000):
        publisher.offer("a", partial(int, n))
    assert publisher.news(TOTAL, seen) == b"event: a\ndata: 999\n\n"


def test_a_channel_is_made_for_those_that_watch_it_and_forgotten_with_the_last() -> None:
    publisher = Publisher()
    publisher.offer_mix(("support", 60), lambda: 1)
    assert not publisher.mixes
    with publisher.watching(("support", 60)), publisher.watching(("support", 60)):
        publisher.offer_mix(("support", 60), lambda: 1)
        assert publisher.news(("support", 60), {}) == b"event: mix\ndata: 1\n\n"
        assert publisher.news(TOTAL, {}) == b""
    assert not publisher.watched
    assert not publisher.mixes


async def test_readers_are_woken_together() -> None:
    publisher = Publisher()
    waiting = [asyncio.create_task(publisher.changed()) for _ in range(3)]
    await asyncio.sleep(0)
    publisher.tell()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


def test_channels_are_shown_as_soon_as_the_topics_are_read() -> None:
    feed, publisher = Feed(Settings()), Publisher()
    renderer, now = Renderer(feed, publisher), datetime(2026, 1, 1, 12, tzinfo=UTC)
    renderer.render(now.timestamp(), 0)
    feed.history.take(counter("support", now, 60, {"joy": 60}))
    feed.reach.caught_up = True
    renderer.render(now.timestamp() + 1, 1)
    assert b'"channel":"support"' in publisher.frames["channels"].event


def test_channels_are_held_against_their_usual_also_after_the_host_s_clock_was_set_back() -> None:
    feed, publisher = Feed(Settings()), Publisher()
    renderer, now = Renderer(feed, publisher), datetime(2026, 1, 1, 12, tzinfo=UTC)
    feed.reach.caught_up = True
    renderer.render(now.timestamp(), 0)
    feed.history.take(counter("support", now - timedelta(hours=1), 60, {"joy": 60}))
    renderer.render(now.timestamp() - 3600, 60)
    assert b'"channel":"support"' in publisher.frames["channels"].event
