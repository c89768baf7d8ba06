"""Channel and drift rules, through the partition that applies them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import MOST_COUNTED
from stream.monitor.channel_rules import ChannelState, HourCount, stability_index
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.events import Alert
from stream.monitor.store import count_records
from stream.privacy import Pseudonyms
from tests.stream.monitor.factories import NOON, at, channel_rule, delta, ids, rules

POLICY = CountPolicy(base_s=60, judge_delay_s=0)
CALM = {"joy": 95, "anger": 5}
ANGRY = {"joy": 60, "anger": 40}
DAY_S = 86400


class Feed:
    """Windows of one channel, five minutes apart, each as one delta."""

    def __init__(self, *tables: dict[str, Any], channel: str = "support") -> None:
        self.partition = CountPartition(0, rules(*tables), POLICY)
        self.alerts: list[Alert] = []
        self._channel = channel
        self._offset = 0

    def window(self, start: float, labels: dict[str, int], channel: str | None = None) -> None:
        record = delta({start: labels}, first=1000 * self._offset, channel=channel or self._channel)
        self.alerts += self.partition.apply(record, self._offset)
        self._offset += 1

    def days(self, days: int, labels: dict[str, int] = CALM) -> None:
        """An hour of windows at noon of each of the days before today."""
        for day in range(-days, 0):
            for n in range(12):
                self.window(NOON + day * DAY_S + 300 * n, labels)


@pytest.mark.parametrize("test", ["poisson", "robust_z"])
def test_a_surge_against_the_same_hour_of_past_days_fires_and_then_resolves(test: str) -> None:
    feed = Feed(channel_rule(test=test))
    feed.days(3)
    feed.window(NOON, CALM)
    for n in range(1, 3):
        feed.window(NOON + 300 * n, ANGRY)
    for n in range(3, 6):
        feed.window(NOON + 300 * n, CALM)
    assert [alert.status for alert in feed.alerts] == ["firing", "resolved"]
    fired, resolved = feed.alerts
    assert resolved.evidence == fired.evidence
    assert fired.latest is None
    assert resolved.latest is not None
    assert resolved.latest.score < 2 < 4 < fired.evidence.score
    assert fired.id == f"surge:support:{NOON + 300}"
    assert fired.evidence.baseline == pytest.approx(0.05)
    assert fired.evidence.messages == 100
    assert fired.evidence.confidence == pytest.approx(0.5)
    (source,) = fired.evidence.sources
    assert (source.topic, source.partition) == ("messages", 0)
    assert (source.first_offset, source.last_offset) == (37_000, 37_099)


def test_the_usual_ups_and_downs_do_not_fire() -> None:
    feed = Feed(channel_rule())
    feed.days(3)
    for n, anger in enumerate([5, 8, 3, 10, 6, 2, 9]):
        feed.window(NOON + 300 * n, {"joy": 100 - anger, "anger": anger})
    assert feed.alerts == []


@pytest.mark.parametrize("days", [1, 7, 14])
def test_the_same_hour_of_as_many_days_as_the_rule_says_is_the_baseline(days: int) -> None:
    hours = tuple(HourCount(NOON - DAY_S * day, day, 1_000) for day in range(30, 0, -1))
    busy = tuple(HourCount(NOON - 3600 * n, 900, 1_000) for n in range(5, 0, -1))
    partition = CountPartition(
        0,
        rules(channel_rule(baseline_days=days)),
        POLICY,
        states={("surge", "support"): ChannelState(hours=hours + busy)},
    )
    partition.apply(delta({NOON: ANGRY}), 0)
    (fired,) = partition.tick(NOON + 300)
    assert fired.evidence.baseline_messages == 1_000 * days
    assert fired.evidence.baseline == pytest.approx((days + 1) / 2 / 1_000, abs=1e-4)


def test_a_rule_of_one_day_knows_what_is_usual_at_that_hour() -> None:
    feed = Feed(channel_rule(baseline_days=1))
    for n in range(12 * 24 * 3):
        feed.window(NOON + 300 * n, ANGRY if n % (12 * 24) < 12 else CALM)
    feed.window(NOON + 300 * 12 * 24 * 3, CALM)
    assert feed.alerts == []


def test_a_window_with_few_messages_is_not_judged() -> None:
    feed = Feed(channel_rule(min_messages=50))
    feed.days(3)
    feed.window(NOON, {"anger": 20})
    feed.window(NOON + 300, CALM)
    assert feed.alerts == []


def test_without_a_baseline_there_is_no_alert() -> None:
    feed = Feed(channel_rule())
    feed.window(NOON, ANGRY)
    feed.window(NOON + 300, CALM)
    assert feed.alerts == []


def test_trouble_that_lasts_does_not_become_the_usual() -> None:
    feed = Feed(channel_rule(resend_s=10 * DAY_S, expire_s=10 * DAY_S))
    feed.days(3)
    for n in range(12 * 6):
        feed.window(NOON + 300 * n, ANGRY)
    assert [alert.status for alert in feed.alerts] == ["firing"]


def test_a_surge_in_the_last_window_is_judged_when_nothing_follows() -> None:
    feed = Feed(channel_rule())
    feed.days(3)
    feed.window(NOON, ANGRY)
    assert feed.partition.tick(NOON + 299) == []
    assert ids(feed.partition.tick(NOON + 300)) == [(f"surge:support:{NOON}", "firing")]
    assert feed.partition.tick(NOON + 301) == []


@pytest.mark.parametrize("window_s", [300, 3600])
@pytest.mark.parametrize("delay_s", [30, 3 * 3600, 9 * 3600])
def test_a_window_is_judged_with_all_its_messages_however_long_that_is_put_off(
    window_s: int, delay_s: int
) -> None:
    table = channel_rule(window_s=window_s, min_baseline_messages=100, min_messages=1)
    partition = CountPartition(0, rules(table), CountPolicy(base_s=60, judge_delay_s=delay_s))
    alerts: list[Alert] = []
    for n in range(16 * 60):
        labels = ANGRY if 240 <= n < 300 else CALM
        alerts += partition.apply(delta({NOON + 60 * n: labels}, first=1000 * n), n, NOON + 60.0 * n)
        if n % 5 == 0:
            partition.take_changes()
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert alerts[0].evidence.messages == 100 * window_s // 60


def test_an_alert_that_is_told_late_does_not_expire_at_once_in_a_partition_that_falls_silent() -> None:
    feed = Feed(channel_rule(expire_s=3600))
    feed.days(3)
    feed.partition._policy = CountPolicy(base_s=60, judge_delay_s=2 * 3600)
    feed.window(NOON, ANGRY)
    assert ids(feed.partition.tick(NOON + 2 * 3600 + 300)) == [(f"surge:support:{NOON}", "firing")]
    assert ids(feed.partition.tick(NOON + 3 * 3600 + 300)) == [(f"surge:support:{NOON}", "resolved")]


def test_a_surge_in_a_channel_that_falls_silent_expires() -> None:
    feed = Feed(channel_rule(expire_s=1800))
    feed.days(3)
    feed.window(NOON, ANGRY)
    feed.partition.tick(NOON + 300)
    assert ids(feed.partition.tick(NOON + 3600)) == [(f"surge:support:{NOON}", "resolved")]


def test_so_it_does_where_other_channels_of_its_partition_are_written_in() -> None:
    feed = Feed(channel_rule(expire_s=1800))
    feed.days(3)
    feed.window(NOON, ANGRY)
    for n in range(1, 30):
        feed.window(NOON + 300 * n, CALM, channel="sales")
        feed.partition.take_changes()
    assert ids(feed.alerts) == [(f"surge:support:{NOON}", status) for status in ("firing", "resolved")]
    assert feed.alerts[-1].ends_at == at(NOON + 300 + 1800)


def test_and_an_alert_that_was_held_is_sent_when_quiet_hours_end() -> None:
    quiet = {"from": "11:00", "to": "12:30"}
    feed = Feed(channel_rule(quiet_hours=quiet))
    feed.days(3)
    feed.window(NOON, ANGRY)
    for n in range(1, 8):
        feed.window(NOON + 300 * n, CALM, channel="sales")
    assert [(alert.status, alert.held) for alert in feed.alerts] == [("firing", True), ("firing", False)]


def test_a_surge_after_an_alert_has_expired_is_another_one_however_late_it_is_read() -> None:
    feed = Feed(channel_rule(expire_s=1800, cooldown_s=0))
    feed.days(3)
    feed.window(NOON, ANGRY)
    feed.window(NOON + 300, {"joy": 1}, channel="sales")
    feed.window(NOON + 3600, ANGRY)
    for n in range(1, 4):
        feed.window(NOON + 3600 + 300 * n, {"joy": 1}, channel="sales")
    assert [alert.status for alert in feed.alerts] == ["firing", "resolved", "firing"]


def test_an_alert_ends_when_its_rule_is_taken_away_or_its_state_is_gone() -> None:
    feed = Feed(channel_rule(expire_s=3600))
    feed.days(3)
    feed.window(NOON, ANGRY)
    (fired,) = feed.partition.tick(NOON + 300)
    assert feed.partition.end_if_orphaned(fired, NOON + 400) == []
    elsewhere = CountPartition(0, rules(channel_rule(expire_s=3600)), POLICY)
    assert elsewhere.end_if_orphaned(fired, NOON + 400) == []
    assert ids(elsewhere.end_if_orphaned(fired, NOON + 3900)) == [(fired.id, "resolved")]
    feed.partition.rules = rules()
    assert ids(feed.partition.end_if_orphaned(fired, NOON + 400)) == [(fired.id, "resolved")]


def test_an_alert_whose_state_was_lost_ends_beside_a_newer_one_of_its_channel() -> None:
    feed = Feed(channel_rule(expire_s=3600, cooldown_s=0))
    feed.days(3)
    feed.window(NOON, ANGRY)
    (fired,) = feed.partition.tick(NOON + 300)
    lost = fired.model_copy(update={"id": "surge:support:0", "starts_at": at(NOON - 4000)})
    assert ids(feed.partition.end_if_orphaned(lost, NOON + 3900)) == [(lost.id, "resolved")]
    assert feed.partition.end_if_orphaned(lost, NOON + 3902) == []
    assert ids(feed.partition.tick(NOON + 4000)) == [(fired.id, "resolved")]
    lost = lost.model_copy(update={"id": "surge:support:1"})
    assert ids(feed.partition.end_if_orphaned(lost, NOON + 4002)) == [(lost.id, "resolved")]


def test_a_rule_watches_its_channels_only() -> None:
    for channel, expected in (("support", 1), ("sales", 0)):
        feed = Feed(channel_rule(channels=["support"]), channel=channel)
        feed.days(3)
        feed.window(NOON, ANGRY)
        for n in range(1, 4):
            feed.window(NOON + 300 * n, CALM)
        assert [alert.status for alert in feed.alerts] == ["firing", "resolved"][: 2 * expected]


def test_drift_fires_when_the_label_mix_of_an_hour_shifts() -> None:
    feed = Feed({"name": "drift", "kind": "drift", "min_messages": 500}, channel="*")
    for n in range(12 * 6):
        feed.window(NOON + 300 * n, {"joy": 60, "neutral": 40})
    assert feed.alerts == []
    for n in range(12 * 6, 12 * 7 + 1):
        feed.window(NOON + 300 * n, {"joy": 10, "anger": 90})
    assert [alert.status for alert in feed.alerts] == ["firing"]
    assert feed.alerts[0].channel == "*"


def test_an_hour_is_part_of_the_reference_whenever_in_it_its_messages_came() -> None:
    feed = Feed({"name": "drift", "kind": "drift", "min_messages": 500}, channel="*")
    for n in range(12 * 10):
        if n % 12 < 8:  # nothing from minute 40 on
            feed.window(NOON + 300 * n, {"joy": 60, "neutral": 40} if n < 12 * 6 else {"anger": 100})
    assert [alert.status for alert in feed.alerts] == ["firing"]


@pytest.mark.parametrize("hours", [1, 24])
def test_drift_is_measured_against_as_many_hours_as_the_rule_says(hours: int) -> None:
    drift = {"name": "drift", "kind": "drift", "reference_hours": hours}
    feed = Feed(drift, channel="*")
    known = list[int | None]()
    for n in range(12 * 30):
        feed.window(NOON + 300 * n, {"joy": 60, "neutral": 40})
        if ("drift", "*") in feed.partition.drift:
            known.append(feed.partition.drift["drift", "*"].baseline_messages)
    assert set(known[-36:]) == {1_200 * hours}


def stored_and_read(state: ChannelState) -> ChannelState:
    return ChannelState.from_json(orjson.loads(orjson.dumps(state)))


MIXES = st.dictionaries(st.sampled_from(["joy", "anger", "fear", "neutral"]), st.integers(0, 10_000))


@given(MIXES, MIXES)
def test_the_stability_index_is_symmetric_and_never_negative(
    now: dict[str, int], then: dict[str, int]
) -> None:
    assert stability_index(now, then) >= 0
    assert stability_index(now, then) == pytest.approx(stability_index(then, now))
    assert stability_index(now, now) == 0


@given(st.lists(st.sampled_from([0, 5, 20, 40]), max_size=24), st.integers(0, 24), st.integers(0, 24))
def test_a_replay_from_a_checkpoint_gives_the_same_alerts(anger: list[int], stop: int, back: int) -> None:
    table = channel_rule(cooldown_s=0)
    past = Feed(table)
    past.days(3)
    records = [
        delta({NOON + 300 * n: {"joy": 100 - a, "anger": a}}, first=10**6 + 1000 * n)
        for n, a in enumerate(anger)
    ]
    numbers = range(1000, 1000 + len(records))
    stored = past.partition.take_changes()

    def fresh() -> CountPartition:
        return CountPartition(
            0, rules(table), POLICY,
            checkpoint=stored.checkpoint, windows=dict(stored.windows), states=dict(stored.states),
        )  # fmt: skip

    live = fresh()
    expected = [alert for n, one in zip(numbers, records, strict=True) for alert in live.apply(one, n)]

    stop = min(stop, len(records))
    first = fresh()
    found = [alert for n in range(stop) for alert in first.apply(records[n], numbers[n])]
    changes = first.take_changes()
    states = {**stored.states, **changes.states}
    second = CountPartition(
        0, rules(table), POLICY,
        checkpoint=changes.checkpoint,
        windows={k: w for k, w in {**stored.windows, **changes.windows}.items() if k not in changes.expired},
        states={key: stored_and_read(state) for key, state in states.items()},
    )  # fmt: skip
    for n in range(max(0, stop - back), len(records)):
        found += second.apply(records[n], numbers[n])
    assert ids(found) == ids(expected)


def test_an_alert_that_ends_just_when_its_rule_is_removed_ends_once() -> None:
    """The board has not read the last record yet, and still shows the alert as firing."""
    feed = Feed(channel_rule())
    feed.days(3)
    feed.window(NOON, ANGRY)
    for n in range(1, 4):
        feed.window(NOON + 300 * n, CALM)
    fired, resolved = feed.alerts
    assert resolved.revision == 2
    feed.partition.rules = rules()
    assert feed.partition.end_if_orphaned(fired, NOON + 1000) == []


def test_an_alert_whose_rule_is_removed_ends_once_though_the_board_shows_it_for_a_while() -> None:
    feed = Feed(channel_rule())
    feed.days(3)
    feed.window(NOON, ANGRY)
    (fired,) = feed.partition.tick(NOON + 300)
    feed.partition.rules = rules()
    (ended,) = feed.partition.end_if_orphaned(fired, NOON + 400)
    assert (ended.revision, ended.evidence, ended.latest) == (2, fired.evidence, None)
    assert feed.partition.end_if_orphaned(fired, NOON + 402) == []


def test_an_alert_never_ends_before_it_began() -> None:
    feed = Feed(channel_rule())
    feed.days(3)
    feed.window(NOON, ANGRY)
    (fired,) = feed.partition.tick(NOON + 300)
    feed.partition.rules = rules()
    (ended,) = feed.partition.end_if_orphaned(fired, NOON - 3600)
    assert ended.ends_at is not None
    assert ended.starts_at <= ended.ends_at


@pytest.mark.parametrize("kind", ["channel", "drift"])
def test_an_alert_whose_baseline_is_beyond_all_counting_is_one_all_the_same(kind: str) -> None:
    drift = {"name": "drift", "kind": "drift", "channels": ["support"]}
    table = channel_rule() if kind == "channel" else drift
    partition = CountPartition(0, rules(table), POLICY)
    alerts: list[Alert] = []
    for n in range(60):
        label = "joy" if n < 40 else "anger"
        alerts += partition.apply(delta({NOON + 300 * n: {label: MOST_COUNTED}}, first=n, last=n), n)
    assert alerts[0].evidence.baseline_messages == MOST_COUNTED
    assert alerts[0].evidence.messages == MOST_COUNTED
    count_records(0, partition.take_changes(), 0)


KIM = Pseudonyms(b"a key for the tests").of("kim")


@pytest.mark.parametrize("stored", [False, True])
def test_forgetting_an_author_deletes_what_is_known_of_channels_called_after_them(stored: bool) -> None:
    feed = Feed(channel_rule(), {"name": "shift", "kind": "drift"}, channel=f"dm:{KIM}")
    feed.days(3)
    for n, labels in enumerate((CALM, ANGRY, ANGRY)):
        feed.window(NOON + 300 * n, labels)
    feed.partition.apply(delta({NOON + 900: CALM}, first=10**6), 50)
    known = feed.partition.take_changes() if stored else None
    feed.partition.forget(KIM, 51)
    changes = feed.partition.take_changes()
    assert changes.forgotten_alerts == [f"surge:dm:{KIM}:{NOON + 300}"]
    assert changes.alerts == []
    assert {channel for (_, channel), state in changes.states.items() if state is None} == {f"dm:{KIM}"}
    assert all(KIM not in counter.channel for counter in changes.counters)
    assert changes.checkpoint.offset == 51
    if known is not None:
        assert {key for key in known.windows if KIM in key[0]} <= set(changes.expired)
        assert {key for key in known.states if KIM in key[1]} <= set(changes.states)
    assert not any(KIM in str(record.value) for record in count_records(0, changes, 0))
    assert feed.partition.tick(NOON + 10 * DAY_S) == []


def test_a_channel_that_is_heard_of_again_after_the_forgetting_is_stored() -> None:
    feed = Feed(channel_rule(), channel=f"dm:{KIM}")
    feed.window(NOON, CALM)
    feed.partition.take_changes()
    feed.partition.forget(KIM, 1)
    feed.partition.apply(delta({NOON: {"joy": 1}}, first=10**6, channel=f"dm:{KIM}"), 2)
    changes = feed.partition.take_changes()
    assert [window.tally.labels for window in changes.windows.values()] == [{"joy": 1}]
    assert changes.expired == []


def test_a_forgetting_that_was_applied_already_deletes_nothing() -> None:
    feed = Feed(channel_rule(), channel=f"dm:{KIM}")
    feed.window(NOON, CALM)
    feed.partition.forget(KIM, 0)
    assert feed.partition.tally(f"dm:{KIM}", NOON, 60).messages == 100
