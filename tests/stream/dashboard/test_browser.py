"""The page in a real browser: seen, changed under one's eyes, reviewed by mouse and by keyboard, read aloud.

One broker for all, and one dashboard for most: what is written stays. Who needs a stream without anything, or
reviews what waits, has topics and a dashboard ``apart``.
"""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stream.cloudevents import to_json
from stream.dashboard.flow import Flow
from stream.dashboard.parts import Reach, health
from stream.events import ALL_CHANNELS
from tests.brokers import free_port
from tests.deployed import asked, served
from tests.stream.dashboard.conftest import Stage, eventually
from tests.stream.dashboard.scene import (
    AUTHOR,
    alert,
    counter,
    event,
    of_alert,
    of_counter,
    of_event,
)
from tests.test_image import health_check

Visit = Callable[..., Any]

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN_AXE = """axe.run().then(result =>
    result.violations.map(one => one.id + ": " + one.nodes.map(node => node.target).slice(0, 4)))"""
SMALLEST_LETTERS = """() => Math.min(...[...document.querySelectorAll("body *")]
    .filter(one => one.checkVisibility() && one.offsetHeight > 1)
    .filter(one => [...one.childNodes].some(node => node.nodeValue?.trim()))
    .map(one => parseFloat(getComputedStyle(one).fontSize)))"""
HOSTILE = (
    *("__proto__", "<img src=x onerror=document.title='owned'>", "w" * 1024, "\u202eevil", "constructor"),
    *("\u200b\u200d", "a" + "\u0301" * 400),
)

WRITTEN = '[data-verdict="confirmed"]:not([disabled])'
"""The buttons of a verdict are there, and none is being written."""

pytestmark = pytest.mark.timeout(240)


def test_an_empty_stream_says_what_is_missing(visit: Visit, apart: Stage) -> None:
    page = visit(on=apart)
    page.wait_for_selector("#mix-empty:visible")
    assert "No message has been labelled" in page.inner_text("#banner")
    page.click("text=Review")
    assert page.inner_text("#queue-empty") == "Nothing waits for you."


def test_an_annotator_that_stands_still_is_said_in_words(visit: Visit) -> None:
    page, now = visit(), datetime.now(UTC).timestamp()
    reach, flow = Reach(caught_up=True, waiting=2310, partitions=1), Flow()
    flow.partitions[0] = now - 780
    event_of = f"event: health\ndata: {to_json(health(reach, flow, None, now)).decode()}\n\n"
    page.route("**/api/stream*", lambda route: route.fulfill(content_type="text/event-stream", body=event_of))
    page.reload()
    said = "The annotator has published nothing for 13 min, and 2,310 messages wait. Is it running?"
    page.wait_for_selector(f"#banner >> text={said}")
    assert page.inner_text("#state") == "Stalled"


def test_a_dashboard_that_falls_silent_is_said_also_where_the_clock_was_set_back(visit: Visit) -> None:
    page, now = visit(), datetime.now(UTC)
    page.clock.install(time=now)
    page.route("**/api/stream*", lambda route: route.abort())
    page.reload()
    page.wait_for_selector('#state[data-state="loading"]')
    page.clock.set_system_time(now - timedelta(hours=1))
    page.clock.run_for(12_000)
    page.wait_for_selector("#banner >> text=The dashboard has said nothing for")
    assert page.inner_text("#state") == "Not connected"


def test_it_serves_the_metrics_that_rules_and_dashboards_ask_of_it(stage: Stage) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.http_port}/metrics", timeout=10) as answer:
        assert asked("dashboard") <= served(answer.read().decode())


def test_the_health_check_of_the_images_finds_it_well_and_nobody_elsewhere(stage: Stage) -> None:
    python, *arguments = health_check()
    for port, well in ((stage.http_port, True), (free_port(), False)):
        environment = os.environ | {"EMOTION_HTTP_PORT": str(port)}
        asked_it = subprocess.run(
            [sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL, check=False
        )
        assert (python, asked_it.returncode == 0) == ("python", well)


def test_it_is_filled_while_one_looks_and_goes_on(visit: Visit, apart: Stage) -> None:
    page = visit(on=apart)
    apart.fill()
    page.wait_for_selector("#mix-chart canvas")
    page.wait_for_selector("#changes li:first-child >> text=billing")
    assert page.inner_text("#waiting-badge") == "7"
    apart.write([of_event(apart.settings, event(9000, datetime.now(UTC), "joy", text="written just now"))])
    page.wait_for_selector("#recent >> text=written just now")
    page.wait_for_selector('#state[data-state="live"]')


@pytest.mark.usefixtures("filled")
def test_a_channel_can_be_chosen_and_its_windows_read_as_a_table(visit: Visit) -> None:
    page = visit()
    page.click("#changes button >> text=billing")
    page.wait_for_selector("#mix-title >> text=billing")
    page.click("#mix-chart ~ details summary")
    page.click('[data-unit="count"]')
    option = "echarts.getInstanceByDom(document.getElementById('mix-chart')).getOption()"
    assert page.evaluate(f"{option}.yAxis[0].max") is None
    assert page.evaluate(f"{option}.dataZoom.map(one => one.type)") == ["inside", "slider"]
    page.click('[data-length="3600"]')
    page.wait_for_selector('[data-length="3600"][aria-pressed="true"]')
    hours = page.locator("#mix-table tbody th")
    eventually(lambda: hours.count() > 24)
    told = hours.all_inner_texts()
    assert len(set(told)) == len(told)  # with their day, since a clock shows each time twice


def test_an_alert_is_reviewed_by_mouse_with_its_evidence(visit: Visit, apart: Stage) -> None:
    apart.fill()
    page = visit("review", on=apart)
    assert "anger surge in 3 channels" in page.inner_text('.group[data-kind="cause"] h3')
    page.click(".row.alert >> text=billing")
    page.wait_for_selector("#picture canvas")
    assert "it alerts from 4" in page.inner_text("figcaption")
    page.fill("#note", "a <b>known</b> outage")
    page.click('[data-verdict="confirmed"]')
    row = page.wait_for_selector('#log tr:has-text("outage")')
    assert "a <b>known</b> outage" in row.inner_text()
    eventually(lambda: page.inner_text("#waiting-badge") == "6")


@pytest.mark.usefixtures("filled")
def test_a_picture_that_shows_only_what_came_later_says_so_and_why_it_ended(
    visit: Visit, stage: Stage
) -> None:
    then, said = datetime.now(UTC) - timedelta(days=3), "What made it fire is older than what this page keeps"
    over: dict[str, Any] = {"now": then, "status": "resolved", "ended_by": "its rule is no longer in force"}
    surge = {"window_start": then, "window_end": then + timedelta(minutes=5), "labels": ("anger",)}
    of_channel = over | {"kind": "channel", "author": None, "channel": "community", "evidence": surge}
    page = visit("review")
    for name, about in (("one", of_channel), ("other", over | {"evidence": {"message_ids": ("gone",)}})):
        stage.write([of_alert(stage.settings, alert(id=name, **about))])
        page.click(f'.row.alert[data-id="{name}"]')
        page.wait_for_selector(f"figcaption >> text={said}")
        assert page.inner_text("#alert dt:text-is('Why it ended') + dd") == over["ended_by"]
        stage.write([(stage.settings.topics.alerts, name.encode(), None)])
        page.wait_for_selector("#alert-title >> text=Choose an alert")
    page.click('.row.alert[data-id="anger-surge:support:1"]')
    page.wait_for_selector("#picture canvas")
    assert said not in page.inner_text("figcaption")


def test_alerts_of_one_cause_are_decided_at_once_and_logged_one_by_one(visit: Visit, apart: Stage) -> None:
    apart.fill()
    page = visit("review", on=apart)
    page.click(".row.alert >> text=app-reviews")
    page.fill("#note", "the same outage")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    assert "Decide for all 3 alerts that may have one cause" in page.inner_text("#together-box")
    page.keyboard.press("a")
    eventually(lambda: page.locator('#log tr:has-text("the same outage")').count() == 3)
    eventually(lambda: page.inner_text("#waiting-badge") == "4")

    page.wait_for_selector(WRITTEN)
    said = "Noor has dismissed it meanwhile: look at it again"
    page.route("**/api/review", lambda route: route.fulfill(status=409, body=said))
    page.keyboard.press("c")
    page.wait_for_selector(f"#toast.shown >> text={said}")
    assert page.is_visible("#alert-title >> text=anger surge")


@pytest.mark.usefixtures("filled")
def test_a_decision_is_about_the_alert_that_is_seen_and_leaves_another_ones_note(visit: Visit) -> None:
    page, asked, held = visit("review"), list[Any](), list[Any]()
    page.click('.row.alert[data-id="anger-surge:support:1"]')
    page.wait_for_selector("#alert-title >> text=anger surge")
    page.wait_for_selector(WRITTEN)
    page.route("**/api/review", lambda route: asked.append(route))
    page.route("**/api/alert?*", lambda route: held.append(route))
    page.click(".row.alert >> text=rapid escalation")
    eventually(lambda: bool(held), page=page)
    page.keyboard.press("c")  # the anger surge is still to be seen
    page.unroute("**/api/alert?*")
    for route in held:
        route.continue_()
    page.wait_for_selector("#alert-title >> text=rapid escalation")
    assert asked == []

    page.keyboard.press("c")
    eventually(lambda: len(asked) == 1, page=page)
    page.click('.row.alert[data-id="anger-surge:support:1"]')
    page.wait_for_selector("#alert-title >> text=anger surge")
    page.fill("#note", "about the surge")
    asked.pop().fulfill(status=201, json=[])
    page.wait_for_selector("#toast.shown >> text=confirmed: rapid escalation")
    assert page.input_value("#note") == "about the surge"
    assert page.is_visible("#alert-title >> text=anger surge")


def test_alerts_are_reviewed_by_keyboard_alone(visit: Visit, apart: Stage) -> None:
    apart.fill()
    page = visit("review", on=apart)
    page.wait_for_selector(".row.alert")
    page.keyboard.press("j")
    page.wait_for_selector("#alert-title >> text=rapid escalation")
    assert "I cried again on the bus home." in page.inner_text(".texts")
    page.keyboard.press("n")
    page.keyboard.type("called back, d is a letter here")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector('#log tr:has-text("called back, d is a letter here")')
    page.wait_for_selector('#alert .standing[data-standing="acknowledged"]')
    page.wait_for_selector(WRITTEN)
    page.keyboard.press("d")
    page.wait_for_selector('#log tr:has-text("dismissed") >> text=rapid escalation')


@pytest.mark.usefixtures("filled")
def test_a_page_that_is_left_open_over_midnight_says_of_what_day_a_time_is(
    visit: Visit, stage: Stage
) -> None:
    page, now = visit("review"), datetime.now(UTC)
    stage.write([of_alert(stage.settings, alert(id="today", starts_at=now))])
    page.clock.install(time=now)
    page.reload()
    page.click('.row.alert[data-id="today"]')
    page.wait_for_selector(WRITTEN)
    page.fill("#note", "half a sentence")
    shown, listed = "#alert dt:text-is('Since') + dd", '.row.alert[data-id="today"] .soft'
    clock = page.inner_text(shown)
    assert (len(clock), page.inner_text(listed)) == (len("22:15"), clock)
    page.clock.fast_forward("24:00:00")
    eventually(lambda: page.inner_text(shown) != clock)
    assert page.inner_text(shown).endswith(f" {clock}")
    assert page.inner_text(listed) == page.inner_text(shown)
    assert page.input_value("#note") == "half a sentence"
    stage.write([(stage.settings.topics.alerts, b"today", None)])
    page.wait_for_selector("#alert-title >> text=Choose an alert")


@pytest.mark.usefixtures("filled")
def test_a_sentence_is_labelled_and_its_words_are_marked(visit: Visit) -> None:
    page = visit("try")
    page.fill("#try-text", "so much anger {{here}}")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".verdict-line >> text=anger")
    assert page.inner_text(".words").strip() == "so much anger {{here}}"
    assert "anger" in page.inner_text('.word[data-step="3"]')


@pytest.mark.usefixtures("filled")
def test_hostile_names_and_texts_stay_text_and_nothing_scrolls_sideways(visit: Visit, stage: Stage) -> None:
    now, settings = datetime.now(UTC), stage.settings
    start = now.replace(second=0, microsecond=0)
    records = [
        of_counter(settings, counter(name, start, 60, {"anger": 4000 + n})) for n, name in enumerate(HOSTILE)
    ]
    records += [of_counter(settings, counter(f"channel-{n}", start, 60, {"joy": 1})) for n in range(3000)]
    records.append(of_counter(settings, counter(ALL_CHANNELS, start, 60, {"anger": 9000})))
    records += [
        of_event(settings, event(9100 + n, now, "fear", channel=name, text=name))
        for n, name in enumerate(HOSTILE)
    ]
    about: dict[str, Any] = {"author": None, "severity": "critical", "recipients": ("team" * 40,)}
    records += [
        of_alert(settings, alert("rule" * 16, id=f"hostile-{n}", channel=name, summary=name, **about))
        for n, name in enumerate(HOSTILE)
    ]
    stage.write(records)
    page = visit(width=390, height=844)
    page.wait_for_selector("#channels-known >> text=3,012")
    page.wait_for_selector("#recent .text >> text=__proto__")
    page.fill("#channel", "channel-2999")
    options = "found => found.map(one => one.value)"
    eventually(lambda: "channel-2999" in page.eval_on_selector_all("#channel-names option", options))
    for view in ("watch", "review", "try"):
        page.goto(f"{stage.address}/#{view}")
        if view == "review":
            page.click('.row.alert[data-id="hostile-2"]')
            page.wait_for_selector("#alert .summary")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    page.goto(f"{stage.address}/#review")
    stage.write([(settings.topics.alerts, b"hostile-2", None)])
    page.wait_for_selector("#alert-title >> text=Choose an alert")
    assert "its time has passed" in page.inner_text("#alert")
    assert "owned" not in page.title()
    assert not page.locator("main img").count()
    assert AUTHOR not in page.title()


def test_who_cannot_log_in_for_want_of_tls_is_told_so(visit: Visit, stage: Stage) -> None:
    page = visit()
    page.goto(f"{stage.address}/login")
    page.wait_for_selector("#name")
    assert page.is_hidden("#plain")

    def answer(route: Any) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace(elsewhere, stage.address)))

    elsewhere = "http://board.example"
    page.route(f"{elsewhere}/**", answer)
    page.goto(f"{elsewhere}/login")
    page.wait_for_selector("#plain >> text=without TLS")


@pytest.mark.parametrize("policy", [None, "no-referrer"])
def test_people_log_in_with_the_token_and_out_again(visit: Visit, stage: Stage, policy: str | None) -> None:
    """Also behind a proxy with a stricter policy than ours: a browser hides then where a form is from."""
    token, page = "7f0c5a1e9b3d48d2a6c4e81f5b907d3a", visit()
    with stage.one_more(EMOTION_DASHBOARD_TOKEN=token) as address:

        def as_proxy(route: Any) -> None:
            answer = route.fetch(max_redirects=0)
            route.fulfill(response=answer, headers=answer.headers | {"referrer-policy": policy})

        if policy is not None:
            page.route(f"{address}/login", as_proxy)
        page.goto(address)
        page.fill("#name", "Kim")
        page.fill("#token", token)
        page.click("text=Log in")
        page.wait_for_selector("#who >> text=Kim")
        page.click("#log-out")
        page.wait_for_selector("#token")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)])
def test_axe_finds_nothing_to_complain_of(visit: Visit, dark: bool, width: int) -> None:
    page = visit(dark=dark, width=width)
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == ("dark" if dark else "light")
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.reload()
    page.evaluate(AXE)
    for view in ("watch", "review", "try"):
        page.evaluate("view => { location.hash = view }", view)
        if view == "review":
            page.click(".row.alert")
            page.wait_for_selector("#picture canvas, #alert .empty")
        assert page.evaluate(RUN_AXE) == [], view


@pytest.mark.usefixtures("filled")
def test_on_a_wall_all_is_on_one_screen_and_can_be_read_from_afar(visit: Visit) -> None:
    """The smallest letters have 1.75 % of the screen's height, on one of 55 inches 12 mm."""
    page = visit(width=1920, height=1080, dark=True)
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.reload()
    page.wait_for_selector("#changes li")
    page.focus("#wall")
    page.keyboard.press("Enter")
    page.wait_for_selector("#wall[aria-pressed=true]")
    assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    assert page.evaluate(SMALLEST_LETTERS) >= 0.0175 * 1080
    page.evaluate(AXE)
    assert page.evaluate(RUN_AXE) == []
    page.set_viewport_size({"width": 800, "height": 900})  # as a larger zoom does
    page.click("#wall")
    page.wait_for_selector("nav")


@pytest.mark.usefixtures("filled")
def test_a_broker_that_goes_is_said_and_that_comes_back_is_read_on(visit: Visit, stage: Stage) -> None:
    page = visit()
    page.wait_for_selector('#state:not([data-state="down"])')
    stage.stop_broker()
    page.wait_for_selector('#state[data-state="down"]')
    assert "does not answer" in page.inner_text("#banner")
    assert page.locator("#mix-chart canvas").count()
    stage.start_broker()
    page.wait_for_selector('#state:not([data-state="down"])')
    stage.write([of_event(stage.settings, event(9900, datetime.now(UTC), "joy", text="after the restart"))])
    page.wait_for_selector("#recent >> text=after the restart")
