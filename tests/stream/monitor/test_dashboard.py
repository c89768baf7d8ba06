"""The page for people: it loads nothing from elsewhere, and what comes from outside never becomes markup."""

import re

from stream.dashboard import CONTENT_SECURITY_POLICY, page
from stream.monitor.app import running
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.test_health import get

HTML = page().decode("utf-8")


def test_the_page_asks_nobody_but_its_own_server() -> None:
    assert set(re.findall(r"https?://[^\"' ]+", HTML)) == {"http://www.w3.org/2000/svg"}, "only a namespace"
    assert "connect-src 'self'" in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


def test_the_page_never_parses_what_it_is_given_as_markup() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", HTML)


def test_every_label_has_its_colour() -> None:
    for label in ("sadness", "joy", "love", "anger", "fear", "surprise", "neutral"):
        assert f"--{label}:" in HTML


async def test_the_monitor_serves_the_page_under_its_policy(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(http_port=0)
    async with running(settings) as started:
        status, text = await get(started, "/")
    assert (status, text) == (200, HTML)
