"""A backtest finds what the live rules find, and says how often."""

from pathlib import Path
from random import Random

import pytest

from stream.errors import InputFileError
from stream.monitor.backtest import read_events, replay
from stream.monitor.counting import CountPolicy
from stream.monitor.events import Alert, Review
from stream.monitor.signalling import SignalPartition
from tests.stream.monitor.factories import NOON, at, author_rule, channel_rule, rules, signal

POLICY = CountPolicy(judge_delay_s=0)
RULES = rules(author_rule())
DAY_S = 86_400


def recorded(seed: int = 1) -> list:  # type: ignore[type-arg]
    random = Random(seed)
    return [
        signal(
            random.choice([0.95, 0.9]) if n % 10 < 3 else random.uniform(0, 0.3),
            author=f"author-{n % 10}",
            offset=n,
            ts=NOON + 60 * n,
        )
        for n in range(400)
    ]


def test_it_raises_the_very_alerts_of_the_live_rules() -> None:
    events = recorded()
    live = SignalPartition(0, RULES, lambda _: None)
    expected = [
        alert.id for n, one in enumerate(events) for alert in live.apply(one, n) if alert.revision == 1
    ]
    assert expected
    assert [alert.id for alert in replay(RULES, events, POLICY).alerts] == expected


def test_it_tells_alerts_a_day_and_authors_alerted_of_a_thousand() -> None:
    result = replay(RULES, recorded(), POLICY)
    assert len(result.alerts) == 3
    assert (result.messages, result.authors) == (400, 10)
    assert result.alerts_a_day == pytest.approx(3 / (399 / 1440))
    assert result.authors_alerted_per_thousand == pytest.approx(300)


def test_events_that_come_twice_count_once() -> None:
    events = recorded()
    assert replay(RULES, [*events, *events], POLICY) == replay(RULES, events, POLICY)


def test_channel_rules_run_too_up_to_the_last_window() -> None:
    surge = rules(channel_rule(min_messages=20, min_baseline_messages=100))
    calm = [signal(0.1, offset=n, ts=NOON + 10 * n) for n in range(720)]
    angry = [
        signal(0.1, offset=720 + n, ts=NOON + 7200 + n).model_copy(update={"label": "anger"})
        for n in range(60)
    ]
    (alert,) = replay(surge, calm + angry, POLICY).alerts
    assert alert.channel == "support"


def test_an_authors_alert_expires_where_they_fell_silent_and_the_next_one_begins() -> None:
    """The monitor looks at what fires every other second; here an hour will do."""
    events = [
        signal(0.95, offset=8 * day + n, ts=NOON + day * DAY_S + 60 * n)
        for day in (0, 10, 11, 20)
        for n in range(8)
    ]
    live = SignalPartition(0, RULES, lambda _: None)
    raised: list[Alert] = []
    now = float(NOON)
    for one in events:
        while now < one.ts.timestamp():
            raised += live.tick(list({alert.id: alert for alert in raised}.values()), now)
            now += 3600
        raised += live.apply(one, one.source.offset)
    expected = [alert.id for alert in raised if alert.revision == 1]
    assert len(expected) == 3
    assert [alert.id for alert in replay(RULES, events, POLICY).alerts] == expected


def test_an_author_is_not_taken_for_silent_where_others_were_recorded_first() -> None:
    """A recording of several partitions goes from one to the next."""
    late = [signal(0.95, author="b", offset=n, partition=1, ts=NOON + 90 * DAY_S + n) for n in range(8)]
    early = [signal(0.95, offset=n, ts=NOON + 3600 * n) for n in range(48)]
    assert [alert.author for alert in replay(RULES, [*late, *early], POLICY).alerts] == ["b", "author-a"]


def test_a_channels_alert_expires_in_a_silence_of_the_stream() -> None:
    surge = rules(channel_rule(min_messages=20, min_baseline_messages=100, window_s=60))
    calm = [signal(0.1, offset=n, ts=NOON + 10 * n) for n in range(720)]
    angry = [
        signal(0.1, offset=720 + 60 * times + n, ts=NOON + 7200 + silence + n).model_copy(
            update={"label": "anger"}
        )
        for times, silence in enumerate((0, 7920))
        for n in range(60)
    ]
    first, second = replay(surge, calm + angry, POLICY).alerts
    assert (second.starts_at - first.starts_at).total_seconds() == 7920


def test_an_alert_about_no_author_is_recognised_whatever_partition_its_id_names() -> None:
    events = [signal(0.95, author=None, offset=n, ts=NOON + 60 * n) for n in range(8)]
    live = SignalPartition(3, RULES, lambda _: None)
    (reviewed, *_) = [alert for n, one in enumerate(events) for alert in live.apply(one, n)]
    review = Review(
        id="1", alert_id=reviewed.id, rule=reviewed.rule, verdict="confirmed", reviewer="r", at=at(NOON)
    )
    assert replay(RULES, events, POLICY).precision([review]).reviewed == 1


def test_precision_is_over_the_alerts_that_were_reviewed() -> None:
    result = replay(RULES, recorded(), POLICY)
    reviews = [
        Review(id=str(n), alert_id=alert.id, rule=alert.rule, verdict=verdict, reviewer="r", at=at(NOON))  # type: ignore[arg-type]
        for n, (alert, verdict) in enumerate(
            zip(result.alerts, ["confirmed", "dismissed", "acknowledged"], strict=True)
        )
    ]
    precision = result.precision(reviews)
    assert (precision.confirmed, precision.reviewed) == (1, 2)


def test_a_file_that_holds_something_else_gets_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(recorded()[0].model_dump_json() + '\n\n{"text": "hello"}\n')
    with pytest.raises(InputFileError, match=r"line 3 is no labelled event \(id is missing"):
        list(read_events(file))
    with pytest.raises(InputFileError, match="name a readable file"):
        list(read_events(tmp_path / "none.jsonl"))
