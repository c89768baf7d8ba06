"""A rule that is edited under its name: what it keeps of what it knows, and what it learns anew."""

from typing import Any

import orjson
import pytest

from stream.monitor.author_rules import AuthorState
from stream.monitor.channel_rules import ChannelState
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.events import Alert
from stream.monitor.signalling import SignalPartition
from stream.monitor.store import decode_author, encode_author
from tests.stream.monitor.factories import NOON, author_rule, channel_rule, delta, rules, signal

MIX = {"joy": 60, "neutral": 38, "fear": 2}
SURGE = {"joy": 60, "neutral": 8, "fear": 32}
PHRASE = {"name": "sustained", "kind": "phrase", "lists": ["a"], "enter": 3, "leave": 1}
ESCALATION = {"measure": "escalation", "enter": 0.3, "leave": 0.1}


class Author:
    """Messages of one author, a minute apart."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.stored: dict[str, AuthorState] = {}
        self.partition = SignalPartition(0, rules(table), self.stored.get)
        self._offset = 0

    def write(self, score: float, count: int, **fields: Any) -> list[str]:
        """What is told of them."""
        alerts: list[Alert] = []
        for n in range(self._offset, self._offset + count):
            alerts += self.partition.apply(signal(score, offset=n, ts=NOON + 60 * n, **fields), n)
        self._offset += count
        return [alert.status for alert in alerts]

    def edit(self, table: dict[str, Any]) -> None:
        self.partition.rules = rules(table)

    @property
    def state(self) -> AuthorState:
        return self.partition._state("author-a")


@pytest.mark.parametrize(
    ("former", "table"),
    [
        (author_rule(**ESCALATION), PHRASE),
        (PHRASE | {"lists": ["b"], "enter": 9}, PHRASE),
        (PHRASE | {"channels": ["support"], "enter": 9}, PHRASE | {"channels": ["sales"]}),
    ],
)
def test_matches_of_another_rule_are_none_of_this_one(former: dict[str, Any], table: dict[str, Any]) -> None:
    author = Author(former)
    assert author.write(0.1, 8, phrases=["b"]) == []
    author.edit(table)
    assert author.write(0.1, 1, phrases=["b"], channel="sales") == []
    assert author.write(0.1, 3, phrases=["a"], channel="sales") == ["firing"]


def test_messages_in_other_channels_are_none_of_a_rule_that_has_moved() -> None:
    author = Author(author_rule(channels=["support"], min_messages=9))
    author.write(0.95, 8)
    author.edit(author_rule(channels=["sales"], min_messages=9))
    assert author.write(0.95, 8, channel="sales") == []
    assert author.write(0.95, 1, channel="sales") == ["firing"]


@pytest.mark.parametrize(
    "fields",
    [
        {"enter": 0.6, "leave": 0.3, "severity": "info", "cooldown_s": 1, "recipients": []},
        {"quiet_hours": {"from": "00:00", "to": "01:00"}, "resend_s": 60, "expire_s": 60},
        {"span_messages": 8, "baseline_messages": 60, "min_messages": 7},
        ESCALATION,
    ],
)
def test_what_is_usual_for_an_author_stays_known_where_a_rule_judges_by_other_levels(
    fields: dict[str, Any],
) -> None:
    author = Author(author_rule(enter=0.9, above_baseline=0.4))
    author.write(0.6, 40)
    before = author.state.rules["sustained"]
    author.edit(author_rule(**fields))
    author.write(0.6, 1)
    after = author.state.rules["sustained"]
    assert (after.known, after.messages) == (41, 41)
    assert after.baseline == pytest.approx(before.baseline, abs=0.02)


def test_an_alert_of_an_author_goes_on_when_its_rule_is_edited_and_ends_once() -> None:
    author = Author(author_rule())
    assert author.write(0.95, 6) == ["firing"]
    author.edit(author_rule(channels=["support"]))
    assert author.write(0.95, 1) == []
    assert author.state.rules["sustained"].life.firing
    assert author.write(0.0, 4) == ["resolved"]


def test_what_an_earlier_version_stored_of_an_author_is_taken_as_it_is_and_the_other_way_round() -> None:
    author = Author(author_rule())
    author.write(0.95, 4)
    value = orjson.loads(encode_author(author.state))
    assert len(value.pop("meanings")["sustained"]) == 12
    assert "meaning" not in str(value), "an earlier version would not read the state of a rule"
    upgraded = Author(author_rule())
    upgraded.stored["author-a"] = decode_author(orjson.dumps(value))
    upgraded._offset = 4
    assert upgraded.write(0.95, 1) == ["firing"]
    assert upgraded.state.meanings == author.state.meanings


class Channel:
    """Windows of one channel, five minutes apart."""

    def __init__(self, table: dict[str, Any], **states: Any) -> None:
        self.partition = CountPartition(0, rules(table), CountPolicy(judge_delay_s=0), **states)
        self._offset = 0

    def windows(self, count: int, labels: dict[str, int] = MIX) -> list[str]:
        """What is told of them."""
        alerts: list[Alert] = []
        for n in range(self._offset, self._offset + count):
            alerts += self.partition.apply(delta({NOON + 300 * n: labels}, first=1_000 * n), n)
        self._offset += count
        return [alert.status for alert in alerts]

    def edit(self, table: dict[str, Any]) -> None:
        self.partition.rules = rules(table)

    @property
    def state(self) -> ChannelState:
        return self.partition._states["surge", "support"]


def test_a_channel_rule_about_other_labels_learns_what_is_usual_of_them() -> None:
    channel = Channel(channel_rule(labels=["fear"]))
    channel.windows(24)
    channel.edit(channel_rule(labels=["joy"]))
    assert channel.windows(24) == []
    assert channel.windows(3, {"joy": 98, "neutral": 2}) == ["firing"]


@pytest.mark.parametrize(
    "fields",
    [
        {"enter": 3.0, "leave": 1.0, "severity": "info", "cooldown_s": 1, "recipients": ["x"]},
        {"test": "robust_z", "channels": ["support"]},
        {"window_s": 60, "baseline_days": 7},
        {"labels": ["anger", "fear"]},
    ],
)
def test_what_is_usual_in_a_channel_stays_known_where_a_rule_judges_it_otherwise(
    fields: dict[str, Any],
) -> None:
    table = channel_rule(labels=["fear", "anger"])
    channel = Channel(table)
    channel.windows(24)
    channel.edit(table | fields)
    assert channel.windows(3, SURGE) == ["firing"]


def test_hours_of_a_channel_rule_are_not_kept_by_a_drift_rule_of_its_name() -> None:
    channel = Channel(channel_rule())
    channel.windows(24)
    channel.edit({"name": "surge", "kind": "drift", "channels": ["support"]})
    assert channel.windows(60) == []
    assert channel.state.hours == ()
    assert channel.windows(13, SURGE) == ["firing"]


@pytest.mark.parametrize("kind", ["channel", "drift"])
def test_an_alert_of_a_channel_goes_on_when_its_rule_is_edited_and_ends_by_what_that_learns(
    kind: str,
) -> None:
    channel = Channel(channel_rule(labels=["fear"]))
    channel.windows(24)
    assert channel.windows(3, SURGE) == ["firing"]
    drift = {"name": "surge", "kind": "drift", "leave": 0.24}
    table = channel_rule(labels=["joy"]) if kind == "channel" else drift
    channel.edit(table | {"channels": ["support"], "resend_s": 864_000})
    assert channel.windows(2) == []
    assert channel.state.life.firing
    assert channel.windows(48) == ["resolved"]


def test_what_an_earlier_version_stored_of_a_channel_is_taken_as_it_is() -> None:
    channel = Channel(channel_rule(labels=["fear"]))
    channel.windows(24)
    value = orjson.loads(orjson.dumps(channel.state))
    assert len(value.pop("meaning")) == 12
    upgraded = Channel(
        channel_rule(labels=["fear"]), states={("surge", "support"): ChannelState.from_json(value)}
    )
    upgraded._offset = 24
    assert upgraded.windows(3, SURGE) == ["firing"]
    assert upgraded.state.meaning == channel.state.meaning
