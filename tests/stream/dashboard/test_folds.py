"""The folds behind the page: bounded, whatever order and names come, and right in what they say."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.cloudevents import to_json
from stream.dashboard import flow as flows
from stream.dashboard import history as histories
from stream.dashboard import queue as queues
from stream.dashboard.clock import Clock
from stream.dashboard.evidence import author_picture, channel_picture
from stream.dashboard.feed import Feed
from stream.dashboard.flow import Flow, Labelled, labelled
from stream.dashboard.history import ORDER, History
from stream.dashboard.parts import LINES, Reach, channels, detail, health, log, mix, queue, recent, state_of
from stream.dashboard.queue import Item, Queue, grouped, urgency
from stream.events import ALL_CHANNELS, EmotionEvent
from stream.monitor import fold as folds
from stream.monitor.board import standing
from stream.monitor.events import Alert, Review, WindowCounter
from stream.settings import Settings
from tests.stream.dashboard.scene import AUTHOR, alert, counter, event, of_counter, of_event, review

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOSTILE = ("__proto__", "constructor", "<img src=x onerror=alert(1)>", "\u202eevil", "x" * 1024, "a\x00b")


LATER = NOON.timestamp() + 10 * 86_400


def one(
    n: int = 0, at: datetime = NOON, label: str = "joy", *, heard_at: float | None = None, **fields: Any
) -> Labelled:
    """A message as it comes; without ``heard_at``, as it is read back."""
    now, live = (LATER, False) if heard_at is None else (heard_at, True)
    found = labelled(to_json(event(n, at, label, **fields)), fields.get("partition", 0), now, live=live)
    assert found is not None
    return found


def flow_of(*events: Labelled) -> Flow:
    flow = Flow()
    for each in events:
        flow.take(each)
    return flow


def history_of(*windows: Any) -> History:
    history = History()
    for window in windows:
        history.take(window)
    return history


@given(st.binary() | st.text().map(str.encode))
def test_whatever_a_record_holds_it_is_an_event_or_none(value: bytes) -> None:
    assert labelled(value, 0, LATER, live=True) is None


@given(
    st.sampled_from(sorted(event(0, NOON, "joy"))),
    st.none() | st.integers(-(2**63), 2**63) | st.text() | st.lists(st.text()),
)
def test_an_event_with_a_field_of_another_type_never_ends_the_reading(name: str, value: Any) -> None:
    found = labelled(to_json(event(0, NOON, "joy") | {name: value}), 0, LATER, live=True)
    assert found is None or isinstance(found.id, str)


@pytest.mark.parametrize("share", [-0.01, 1.01, 1e308])
def test_an_event_is_none_whose_probability_is_none(share: float) -> None:
    """The page would show all of its digits."""
    for odd in ({"confidence": share}, {"distress": {"score": share, "level": "high"}}):
        assert labelled(to_json(event(0, NOON, "joy") | odd), 0, LATER, live=True) is None


def test_fields_that_later_versions_add_are_shown_and_may_be_missing() -> None:
    assert one().language is None
    assert one(language="de", labels=["joy", "love"]).labels == ("joy", "love")
    assert recent(flow_of(one()))[0].keys() == {"at", "label", "confidence", "level", "channel"}
    assert recent(flow_of(one(language="de")))[0]["language"] == "de"


def test_a_message_that_the_model_did_not_read_is_counted_and_shown_and_changes_no_mean() -> None:
    """As the annotator publishes it in a language that the weights were not measured in."""
    unread = EmotionEvent(
        **event(1, NOON, "unknown", author="a", language="fi", windows=0)
        | {"confidence": 0.0, "scores": None, "neutral": None, "distress": None}
    )
    taken = labelled(to_json(unread.model_dump()), 0, LATER, live=False)
    assert taken is not None
    flow, now = flow_of(one(0, author="a"), taken), NOON.timestamp() + 1
    assert (flow.version, flow.confidence(now), flow.distressed(now)) == (2, 0.93, 0)
    assert [point.id for point in flow.trail("a")] == ["messages-0-0"]
    assert {shown["label"] for shown in recent(flow)} == {"joy", "unknown"}


def test_the_rate_is_of_whole_seconds_before_now() -> None:
    flow = flow_of(*(one(n, NOON + timedelta(seconds=n / 4)) for n in range(40)))
    assert flow.rate(NOON.timestamp() + 10, 10) == pytest.approx(4, abs=0.2)
    assert flow.rate(NOON.timestamp() + 600, 10) == 0


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_an_annotator_whose_clock_is_off_is_neither_alive_for_ever_nor_dead(off_s: int) -> None:
    now = NOON.timestamp()
    heard = [
        one(
            n,
            NOON + timedelta(seconds=off_s),
            heard_at=now + n / 10,
            labelled_at=NOON + timedelta(seconds=off_s),
        )
        for n in range(100)
    ]
    flow = flow_of(*heard)
    reach = Reach(caught_up=True, waiting=5)
    assert state_of(reach, flow, now + 10) == "live"
    assert flow.rate(now + 10, 10) == 10
    assert state_of(reach, flow, now + 300) == "stale"


def test_the_newest_messages_are_shown_whichever_partition_is_read_back_first() -> None:
    newer = [one(n, NOON + timedelta(minutes=n), text=f"newer {n}", partition=0) for n in range(10)]
    older = [one(n, NOON - timedelta(minutes=n), text=f"older {n}", partition=1) for n in range(1, 100)]
    for order in ((*newer, *older), (*older, *newer)):
        shown = [message["text"] for message in recent(flow_of(*order))]
        assert shown == [f"newer {n}" for n in reversed(range(10))] + [f"older {n}" for n in range(1, 21)]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 86_400.0 * 365 * 30])
def test_a_host_clock_that_is_set_makes_nobody_live_and_stops_no_figure(step_s: float) -> None:
    host, past = NOON.timestamp(), 0.0
    feed = Feed(Settings())
    feed.clock = clock = Clock(lambda: host + past, lambda: past)

    def publish(count: int, revision: str) -> None:
        written = datetime.fromtimestamp(host + past, UTC)
        model = {"name": "m", "revision": revision}
        for n in range(count):
            label = event(n, written, "joy", labelled_at=written, model=model, text=revision)
            feed._take(record(of_event(feed._settings, label)))
        feed._take(record(of_counter(feed._settings, counter("c", written, 60, {"joy": 1}))))

    def record(written: tuple[str, bytes, bytes]) -> Any:
        topic, _, value = written
        return SimpleNamespace(
            topic=topic, partition=0, value=value, timestamp=int(1000 * (host + past)), offset=0
        )

    def told() -> dict[str, Any]:
        return health(feed.reach, feed.flow, None, clock.now())

    feed.reach = Reach(caught_up=True, waiting=5, partitions=1)
    for _ in range(200):
        publish(1, "old")
        past += 1
    host += step_s
    feed.prune(host + past)
    assert (told()["state"], told()["rate"], len(feed.flow.recent)) == ("live", 1, 30)
    for caught_up in (True, False):  # also where what came meanwhile is read back
        feed.reach.caught_up = caught_up
        publish(20, "new")
        past += 2
        assert told()["rate"] == pytest.approx(2.8 if caught_up else 4.6)
        assert told()["last_heard_at"] == told()["counters_at"] == clock.now() - 2
    assert told()["models"][0]["revision"] == recent(feed.flow)[0]["text"] == "new"
    feed.reach.caught_up = True
    past += 61
    assert told()["state"] == "stale"
    assert told()["rates"][-5:] == [0, 60, 60, 60, 60]


def test_what_is_read_back_counts_for_when_it_was_labelled_and_never_ahead_of_now() -> None:
    assert one(at=NOON).heard_at == pytest.approx(NOON.timestamp() + 0.14)
    assert one(at=NOON, labelled_at=NOON + timedelta(days=99)).heard_at == LATER


@given(st.lists(st.tuples(st.integers(0, 10**7), st.text(max_size=5)), max_size=70))
def test_a_flow_stays_within_its_bounds(moments: list[tuple[int, str]]) -> None:
    flow = flow_of(
        *(
            one(n, NOON + timedelta(seconds=s), author=author, language=author)
            for n, (s, author) in enumerate(moments)
        )
    )
    assert len(flow.recent) <= flows.RECENT
    assert len(flow._seconds) <= flows.SECONDS_KEPT
    assert len(flow._minutes) <= flows.MINUTES_KEPT + 1


def test_a_language_has_its_share_of_all_messages_not_of_those_shown() -> None:
    told = ["en"] * 20 + [f"x{n}" for n in range(20)]
    flow = flow_of(*(one(n, language=language) for n, language in enumerate((*told, None))))
    first, *others = flow.languages(NOON.timestamp() + 1)
    assert (first, len(others)) == (("en", 0.5), flows.LANGUAGES_SHOWN - 1)


def test_what_the_topics_no_longer_hold_is_shown_no_more() -> None:
    """A dashboard runs for months; texts, pseudonyms and channels of people are kept for days."""
    then = NOON.timestamp()
    flow = flow_of(
        *(one(n, NOON, "fear", author=AUTHOR, text=f"text {n}", heard_at=then + n) for n in range(3)),
        one(3, NOON, "fear", author="other", text="text 3", heard_at=then),
    )
    version = flow.version
    flow.prune(then)
    assert (len(flow.recent), flow.version) == (4, version)
    flow.prune(then + 2)
    assert [event.text for event in flow.recent] == ["text 2"]
    assert flow.version != version
    assert [[point.id for point in flow.trail(name)] for name in (AUTHOR, "other")] == [["messages-0-2"], []]
    history = History()
    for n, name in enumerate((ALL_CHANNELS, "dm:old", "dm:new")):
        history.take(counter(name, NOON, 60, {"joy": 1}), then + n)
        history.take(counter(name, NOON, 3600, {"joy": 1}), then + n)
    history.prune(then + 2)
    assert history.names() == (["dm:new"], 1)
    assert history.windows("dm:old", 60, LATER) == []
    history.take(counter("dm:old", NOON, 60, {"joy": 1}), then + 3)
    assert [row.messages for _, row in history.windows("dm:old", 60, LATER)] == [1]
    alerts = Queue()
    alerts.take_alert(alert(id="fires"), then)
    for n, name in enumerate(("old", "new")):
        alerts.take_alert(alert(id=name, status="resolved", now=NOON, ends_at=NOON), then + n)
    version = alerts.version
    alerts.prune(then + 1)
    assert {item.alert.id for item in alerts.items()} == {"fires", "new"}
    assert alerts.version != version
    alerts.take_alert(alert(id="fires", revision=2, status="resolved", ends_at=NOON), then)
    alerts.prune(then + 1)
    assert alerts.item("fires") is None


def test_the_authors_seen_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "AUTHORS", 3)
    flow = flow_of(*(one(n, author=f"a{n}") for n in range(3)), one(9, author="a0"), one(10, author="a3"))
    assert [bool(flow.trail(f"a{n}")) for n in range(4)] == [True, False, True, True]


@given(st.permutations([counter("c", NOON, 60, {"joy": n}) for n in range(1, 5)]))
def test_of_two_records_of_a_window_the_one_that_has_seen_more_holds(windows: Any) -> None:
    history = history_of(*windows, counter(ALL_CHANNELS, NOON, 60, {"joy": 4}))
    assert [row.messages for _, row in history.windows("c", 60, LATER)] == [4]


def test_a_window_is_the_sum_of_its_shards_whichever_comes_first() -> None:
    """Partitions were added to the counts while the window was open: two of them hold a part of it."""
    shards = [
        counter("c", NOON, 60, {"joy": 3}, shard=0),
        counter("c", NOON, 60, {"joy": 5}, shard=0),
        counter("c", NOON, 60, {"joy": 2, "fear": 1}, shard=4, unknown=2),
    ]
    for order in permutations(shards):
        [(_, row)] = history_of(*order, counter(ALL_CHANNELS, NOON, 60, {"joy": 8})).windows("c", 60, LATER)
        assert (row.messages, row.counts[ORDER.index("joy")], row.unknown) == (8, 7, 2)
        assert row.confidence == pytest.approx(8 * 0.88)


def test_foreign_shards_without_number_neither_fill_a_window_nor_hide_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folds, "MOST_SHARDS", 3)
    own = [counter("c", NOON, 60, {"joy": n}, shard=n) for n in (1, 2)]
    foreign = [counter("c", NOON, 60, {"fear": 1}, shard=2**53 - 1 - n) for n in range(50)]
    for order in ([*own, *foreign], [*foreign, *own], [*foreign[::-1], *own, *foreign]):
        history = history_of(*order, counter(ALL_CHANNELS, NOON, 60, {"joy": 3}))
        [(_, row)] = history.windows("c", 60, LATER)
        assert (row.messages, row.counts[ORDER.index("joy")]) == (4, 3)
        assert [len(shards) for shards in history._shards.values()] == [3]


def test_sums_of_foreign_counts_still_fit_json() -> None:
    most = 2**53 - 1
    shards = [
        counter("c", NOON, 60, {f"l{n}": most for n in range(3)}, messages=most, shard=n) for n in range(2100)
    ]
    shown = mix(history_of(*shards, counter(ALL_CHANNELS, NOON, 60, {"joy": 1})), "c", 60, LATER)
    assert to_json(shown)


def test_messages_in_unmeasured_languages_are_in_the_mix() -> None:
    shown = mix(history_of(counter(ALL_CHANNELS, NOON, 60, {"joy": 3}, unknown=5)), ALL_CHANNELS, 60, LATER)
    assert dict(zip(shown["labels"], shown["windows"][0][1:-1], strict=True))["unknown"] == 5


def test_a_clock_that_is_ahead_empties_nothing() -> None:
    """A single message may be up to ``max_ahead_s`` ahead, and opens a window that has not begun."""
    windows = [
        counter(name, NOON + timedelta(minutes=n), 60, {"joy": 20})
        for n in range(30)
        for name in ("c", ALL_CHANNELS)
    ]
    ahead = counter(ALL_CHANNELS, NOON + timedelta(minutes=36), 60, {"joy": 1})
    history, now = history_of(*windows, ahead), NOON.timestamp() + 30 * 60
    assert history.windows(ALL_CHANNELS, 60, now)[-1][0] == NOON.timestamp() + 29 * 60
    assert [change.channel for change in history.changes(9, now)] == ["c"]


def test_a_channel_that_falls_silent_is_no_longer_told_as_of_now() -> None:
    start = [counter(ALL_CHANNELS, NOON, 60, {"joy": 9}), counter("silent", NOON, 60, {"joy": 20})]
    history = history_of(*start)
    assert [change.channel for change in history.changes(9, LATER)] == ["silent"]
    history.take(counter(ALL_CHANNELS, NOON + timedelta(minutes=20), 60, {"joy": 9}))
    assert history.changes(9, LATER) == []


def test_windows_of_any_length_are_shown_with_the_empty_ones_between() -> None:
    history = history_of(
        *(counter(ALL_CHANNELS, NOON + timedelta(seconds=s), 10, {"joy": 1}) for s in (0, 30))
    )
    shown = mix(history, ALL_CHANNELS, None, LATER)
    assert (shown["window_s"], [row[2] for row in shown["windows"]]) == (10, [1, 0, 0, 1])


def test_a_window_that_begins_between_two_others_hides_none_of_them() -> None:
    foreign = counter("c", NOON + timedelta(seconds=7), 60, {"joy": 1})
    minutes = [counter("c", NOON + timedelta(minutes=n), 60, {"joy": 20}) for n in range(1, 4)]
    for order in permutations((foreign, *minutes)):
        windows = history_of(*order).windows("c", 60, LATER)
        assert [row.messages for _, row in windows] == [1, 20, 20, 20]


def minutes_of(*names: str, first: int = 0, count: int = 30) -> list[WindowCounter]:
    """What a monitor publishes for channels while minutes pass."""
    moments = (NOON + timedelta(minutes=n) for n in range(first, first + count))
    return [
        counter(name, at - timedelta(seconds=at.timestamp() % length), length, {"joy": 20})
        for at in moments
        for name in (*names, ALL_CHANNELS)
        for length in (60, 300, 3600)
    ]


def test_lengths_of_windows_that_nobody_else_has_neither_fill_the_memory_nor_the_page() -> None:
    """Whoever may write to the counters' topic may make up thousands of lengths, and channels."""
    history = history_of(*minutes_of("c"))
    for length in range(1, 3_000):
        history.take(counter(f"foreign-{length}", NOON, length, {"joy": 1}))
        history.take(counter("c", NOON, length, {"joy": 1}))
        if length % 100 == 0:
            for one in minutes_of("c", first=30 + length // 100, count=1):
                history.take(one)
    assert len(history._heard) == len(history._channels_of) == histories.LENGTHS
    assert sum(len(lengths) for lengths in history._channels.values()) < 20
    assert history.names()[1] < 10
    shown = mix(history, ALL_CHANNELS, None, LATER)
    assert (shown["window_s"], shown["lengths"]) == (60, [60, 300, 3600])
    assert sum(row[2] for row in shown["windows"]) >= 59 * 20
    assert "c" in [change.channel for change in history.changes(9, LATER)]


def test_the_windows_of_another_count_window_are_shown_once_there_are_some() -> None:
    history = history_of(*minutes_of("c", count=2_000))
    new = [
        counter(ALL_CHANNELS, NOON + timedelta(seconds=10 * n), 10, {"joy": 1}) for n in range(12_000, 12_500)
    ]
    for one in new:
        history.take(one)
    shown = mix(history, ALL_CHANNELS, None, LATER)
    assert (shown["window_s"], shown["lengths"]) == (10, [10, 60, 300, 3600])


def test_hours_are_shown_beside_thousands_of_shorter_windows() -> None:
    """Of a compacted topic one record of each window is left."""
    hour = counter(ALL_CHANNELS, NOON, 3600, {"joy": 3600})
    seconds = [counter(ALL_CHANNELS, NOON + timedelta(seconds=n), 1, {"joy": 1}) for n in range(2 * 3600)]
    assert history_of(hour, *seconds).lengths == [1, 3600]


def test_a_label_that_is_not_known_counts_as_unknown() -> None:
    row = history_of(counter(ALL_CHANNELS, NOON, 60, {"joy": 1, "unknown": 2, "awe": 3})).windows(
        ALL_CHANNELS, 60, LATER
    )[0][1]
    assert row.counts[-1] == 5


def test_thousands_of_channels_keep_their_names_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [*HOSTILE, *(f"channel-{n}" for n in range(3000))]
    history = history_of(*(counter(name, NOON, 60, {"joy": 1}) for name in names))
    assert history.names("channel-2999") == (["channel-2999"], 1)
    assert set(HOSTILE) <= set(history.names(most=5000)[0])
    monkeypatch.setattr(histories, "CHANNELS", 2)
    small = history_of(*(counter(name, NOON, 60, {"joy": 1}) for name in (ALL_CHANNELS, "a", "b", "c")))
    assert (small.names()[0], small.dropped) == (["c"], 2)


def test_the_channel_that_differs_from_its_usual_stands_first_with_the_label_that_does() -> None:
    windows = []
    for n in range(30):
        start, late = NOON + timedelta(minutes=n), n >= 25
        windows += [
            counter("calm", start, 60, {"joy": 20, "anger": 4}),
            counter(ALL_CHANNELS, start, 60, {"joy": 90}),
        ]
        windows += [counter("angry", start, 60, {"joy": 20, "anger": 20 if late else 4})]
    first = channels(history_of(*windows), LATER)["changes"][0]
    assert (first["channel"], first["label"], first["usual"]) == ("angry", "anger", round(4 / 24, 4))
    assert first["deviations"] > 4


def test_drift_is_told_once_there_is_enough_to_tell_it_by() -> None:
    hours = [counter(ALL_CHANNELS, NOON + timedelta(hours=n), 3600, {"joy": 600}) for n in range(5)]
    assert history_of(*hours[:1]).drift(LATER) is None
    assert history_of(*hours).drift(LATER) == pytest.approx(0, abs=0.01)
    shifted = counter(ALL_CHANNELS, NOON + timedelta(hours=5), 3600, {"joy": 300, "anger": 300})
    assert (history_of(*hours, shifted).drift(LATER) or 0) > 0.25


def test_the_queue_begins_with_what_is_severe_and_waits_longest_and_groups_by_subject() -> None:
    now = datetime.now(UTC)
    made = [
        alert("late", id="late", author="b", starts_at=now),
        alert("early", id="early", author="c", starts_at=now - timedelta(hours=1)),
        alert("critical", id="critical", author="a", severity="critical"),
        alert("second", id="second", author="a", severity="info"),
        alert("over", id="over", author="d", status="resolved", severity="critical"),
    ]
    for order in permutations(made, 5):
        folded = Queue()
        for each in order:
            folded.take_alert(each)
        groups = [[item.alert.id for item in group.items] for group in grouped(folded.items())]
        assert groups == [["critical", "second"], ["early"], ["late"], ["over"]]


def surge(channel: str, minute: int = 0, rule: str = "anger-surge", **fields: Any) -> Alert:
    starts_at = NOON + timedelta(minutes=minute)
    values: dict[str, Any] = {"kind": "channel", "author": None, "starts_at": starts_at}
    return alert(rule, id=f"{rule}-{channel}-{minute}", channel=channel, **values | fields)


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ([surge("a"), surge("b", 5), surge("c", 14)], [("cause", 3)]),
        ([surge("a"), surge("b", 16)], [("channel", 1), ("channel", 1)]),
        ([surge("a"), surge("b", 10), surge("c", 20)], [("cause", 2), ("channel", 1)]),
        ([surge("a"), surge("a", 5)], [("channel", 2)]),
        ([surge("a"), surge("b", rule="fear-surge")], [("channel", 1), ("channel", 1)]),
        ([surge("a"), surge("b", author="x")], [("channel", 1), ("author", 1)]),
        ([surge("a"), surge("b", conversation="x")], [("channel", 1), ("conversation", 1)]),
        ([surge("a"), surge("b", status="resolved")], [("cause", 2)]),
        ([surge("a"), surge("b"), surge("a", 1, "drift")], [("cause", 2), ("channel", 1)]),
    ],
)
def test_one_rule_that_rises_in_several_channels_at_once_is_one_cause(
    alerts: list[Alert], said: list[tuple[str, int]]
) -> None:
    for order in permutations(alerts):
        groups = grouped(sorted((Item(one, standing(one, ()), ()) for one in order), key=urgency))
        assert sorted((group.kind, len(group.items)) for group in groups) == sorted(said)


def test_the_page_shows_no_alert_that_began_before_its_author_was_forgotten() -> None:
    folded, now = Queue(), datetime.now(UTC)
    folded.take_alert(alert())
    folded.take_tombstone(AUTHOR, now.timestamp())
    assert not folded.items()
    assert not folded.take_alert(alert(revision=2))
    assert folded.take_alert(alert(id="later", starts_at=now + timedelta(minutes=1)))
    assert [item.alert.id for item in folded.items()] == ["later"]


def test_of_too_many_alerts_those_that_ended_first_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "ALERTS", 3)
    monkeypatch.setattr(queues, "SPARE", 1)
    folded = Queue()
    for n, status in enumerate(["resolved", "firing", "resolved", "firing", "firing"]):
        folded.take_alert(alert(id=f"a{n}", status=status, updated_at=NOON + timedelta(seconds=n)))
    assert {item.alert.id for item in folded.items()} == {"a1", "a3", "a4"}
    assert queue(folded)["dropped"] == 2


def test_what_does_not_fit_is_counted_not_cut_in_silence() -> None:
    folded = Queue()
    for n in range(130):
        folded.take_alert(alert(id=f"a{n}", author=f"author-{n}"))
    shown = queue(folded)
    assert (shown["waiting"], len(shown["groups"]), shown["groups_more"]) == (130, 100, 30)
    for n in range(1500):
        folded.take_alert(surge(f"channel-{n}", rule=f"rule-{n % 10}", severity="critical"))
    shown = queue(folded)
    assert sum(len(group["items"]) for group in shown["groups"]) == LINES
    first = shown["groups"][0]
    assert (first["kind"], len(first["items"]), first["more"], first["channels"]) == ("cause", 100, 50, 150)


def test_reviews_are_logged_once_each_the_newest_first_with_the_precision() -> None:
    folded, about = Queue(), alert()
    folded.take_alert(about)
    for n in (2, 1, 2, 3):
        folded.take_review(review(about, "confirmed", n=n))
    shown = log(folded)
    times = [each["at"] for each in shown["reviews"]]
    assert (len(times), times) == (3, sorted(times, reverse=True))
    assert shown["precision"][0]["ratio"] == 1
    assert queue(folded)["closed"][0]["standing"] == "confirmed"


@given(st.lists(st.sampled_from(["acknowledged", "confirmed", "dismissed"]), max_size=6))
def test_reviews_may_come_in_any_order(verdicts: list[Any]) -> None:
    about = alert()
    reviews = [review(about, verdict, n=n) for n, verdict in enumerate(verdicts)]

    def folded(order: list[Review]) -> Any:
        made = Queue()
        made.take_alert(about)
        for each in order:
            made.take_review(each)
        return queue(made)

    assert folded(reviews) == folded(reviews[::-1])


@pytest.mark.parametrize(
    ("reach", "ago_s", "said"),
    [
        (Reach(), None, "loading"),
        (Reach(caught_up=True), 5, "live"),
        (Reach(caught_up=True, waiting=0), 780, "quiet"),
        (Reach(caught_up=True, waiting=2310), 780, "stale"),
        (Reach(caught_up=True, waiting=2310), None, "stale"),
        (Reach(caught_up=True, problem="no broker answers"), 5, "down"),
        (Reach(problem="topics do not exist", missing=True), None, "missing"),
    ],
)
def test_the_state_is_honest(reach: Reach, ago_s: float | None, said: str) -> None:
    now = NOON.timestamp()
    flow = Flow() if ago_s is None else flow_of(one(at=NOON - timedelta(seconds=ago_s)))
    assert state_of(reach, flow, now) == said
    assert health(reach, flow, None, now)["state"] == said


def test_an_authors_picture_holds_the_messages_and_marks_those_behind_the_alert() -> None:
    flow = flow_of(
        *(
            one(n, NOON + timedelta(minutes=n), author=AUTHOR, distress={"score": n / 10, "level": "none"})
            for n in range(5)
        )
    )
    picture = author_picture(
        alert(evidence={"message_ids": ("messages-0-3", "messages-0-4")}), flow.trail(AUTHOR)
    )
    assert [point[3] for point in picture["points"]] == [False, False, False, True, True]
    assert (picture["enter"], picture["leave"], len(picture["mean"])) == (0.6, 0.45, 5)


def test_the_levels_of_a_rise_stand_on_the_lowest_mean() -> None:
    evidence = {"measure": "rise of the weighted mean of the distress score", "baseline": 0.2, "enter": 0.45}
    assert author_picture(alert(evidence=evidence), [])["enter"] == pytest.approx(0.65)


def test_the_last_reading_is_told_apart_from_what_made_the_alert_fire() -> None:
    fired = alert()
    assert author_picture(fired, [])["latest"] is None
    later = {"score": 0.31, "window_end": fired.evidence.window_end + timedelta(minutes=9)}
    resolved = fired.model_copy(update={"latest": fired.evidence.model_copy(update=later)})
    assert author_picture(resolved, [])["latest"] == [later["window_end"].timestamp(), 0.31]
    told = detail(Item(resolved, "resolved", ()), {})
    assert (told["latest"], told["score"]) == ({"score": 0.31, "at": later["window_end"].timestamp()}, 0.71)


def test_a_channels_levels_are_where_its_count_would_deviate_so_far() -> None:
    windows = history_of(
        counter("c", NOON, 60, {"anger": 30, "joy": 70}), counter(ALL_CHANNELS, NOON, 60, {"joy": 1})
    ).windows("c", 60, LATER)
    evidence = {
        "measure": "standard deviations above the expected count",
        "labels": ("anger",),
        "baseline": 0.1,
        "enter": 4.0,
        "leave": 2.0,
    }
    picture = channel_picture(alert(evidence=evidence), windows, 60)
    share = picture["enter"][0]
    assert 2 * ((share * 100 + 0.375) ** 0.5 - (10 + 0.375) ** 0.5) == pytest.approx(4)
    assert picture["windows"] == [[int(NOON.timestamp()), 30, 100]]
