"""One serialisation for all readers, and no reader holds another back."""

import asyncio

from stream.dashboard.publish import Publisher

TOTAL = ("*", None)


def test_a_part_is_serialised_once_for_any_number_of_readers() -> None:
    publisher = Publisher()
    publisher.offer("queue", {"waiting": 1})
    readers: list[dict[str, int]] = [{} for _ in range(100)]
    assert {publisher.news(TOTAL, seen) for seen in readers} == {b'event: queue\ndata: {"waiting":1}\n\n'}
    assert publisher.serialised == 1


def test_only_what_changed_is_sent_again() -> None:
    publisher, seen = Publisher(), dict[str, int]()
    publisher.offer("a", 1)
    publisher.offer("b", 1)
    publisher.news(TOTAL, seen)
    publisher.offer("a", 1)
    publisher.offer("b", 2)
    assert publisher.news(TOTAL, seen) == b"event: b\ndata: 2\n\n"
    assert publisher.news(TOTAL, seen) == b""


def test_a_slow_reader_gets_the_newest_version_and_none_between() -> None:
    publisher, seen = Publisher(), dict[str, int]()
    for n in range(1000):
        publisher.offer("a", n)
    assert publisher.news(TOTAL, seen) == b"event: a\ndata: 999\n\n"


def test_a_channel_is_made_for_those_that_watch_it_and_forgotten_with_the_last() -> None:
    publisher = Publisher()
    publisher.offer_mix(("support", 60), 1)
    assert not publisher.mixes
    with publisher.watching(("support", 60)), publisher.watching(("support", 60)):
        publisher.offer_mix(("support", 60), 1)
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
