"""Channels that come and go: what is known of them stays bounded, and no alert is lost over it."""

import tracemalloc
from typing import Any

import orjson
import pytest

from stream.monitor import channel_states, counting
from stream.monitor.channel_rules import ChannelState, HourCount
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.store import count_records
from tests.stream.monitor.factories import NOON, channel_rule, delta, ids, rules

POLICY = CountPolicy(base_s=60, judge_delay_s=0, keep_states_s=30 * 86_400)
CALM, ANGRY = {"joy": 95, "anger": 5}, {"joy": 60, "anger": 40}
HOUR_S, DAY_S = 3600, 86_400


class Channels:
    """Windows of many channels in one partition, with a checkpoint whenever it is asked for."""

    def __init__(self, **rule: Any) -> None:
        self.partition = CountPartition(0, rules(channel_rule(**rule)), POLICY)
        self.stored: dict[bytes, bytes] = {}
        self.written = 0
        self._offset = 0

    def window(self, channel: str, start: float, labels: dict[str, int]) -> list[tuple[str, str]]:
        record = delta({start: labels}, first=1000 * self._offset, channel=channel)
        self._offset += 1
        return ids(self.partition.apply(record, self._offset - 1))

    def surge(self) -> list[tuple[str, str]]:
        """Time comes to noon, and a surge with it; what is told of it."""
        for minutes in (15, 10, 5):
            self.window("support", NOON - 60 * minutes, CALM)
        return [alert for n in range(4) for alert in self.window("support", NOON + 300 * n, ANGRY)]

    def checkpoint(self) -> None:
        for record in count_records(0, self.partition.take_changes(), 0):
            self.written += len(record.value or b"")
            if record.value is None:
                self.stored.pop(record.key or b"", None)
            else:
                self.stored[record.key or b""] = record.value

    def known(self) -> set[str]:
        """Channels of which a state is stored: the same as in memory."""
        found = {orjson.loads(key)[-1] for key in self.stored if orjson.loads(key)[0] == "s"}
        assert found == {channel for _, channel in self.partition._states}
        return found


def test_of_channels_that_are_written_in_once_those_written_in_last_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_states, "GATHERING_BYTES", 100 * 480)
    monkeypatch.setattr(counting, "NEW_STATES", 20)
    channels = Channels()
    for n in range(1_000):
        channels.window(f"ticket-{n}", NOON + 60 * n, {"joy": 1})
        if n % 10 == 0:
            channels.checkpoint()
            assert len(channels.known()) <= 120 + 10
    channels.checkpoint()
    assert "ticket-990" in channels.known()
    assert channels.partition.channel_states == len(channels.known())


def test_what_is_far_too_much_is_forgotten_over_several_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_states, "GATHERING_BYTES", 0)
    monkeypatch.setattr(counting, "FORGOTTEN_AT_ONCE", 15)
    channels = Channels()
    for n in range(40):
        channels.window(f"ticket-{n}", NOON, {"joy": 1})
    for n in range(3):
        channels.window("support", NOON + 300 * (n + 1), CALM)
    left = []
    for n in range(4):
        channels.window("ticket-39", NOON + 1200 + 300 * n, {"joy": 1})
        channels.checkpoint()
        left.append(len(channels.known()))
    assert [left[0] - left[1], left[1] - left[2]] == [15, 9], "ticket-39 has been heard of since"
    assert "ticket-39" in channels.known()


def test_a_channel_with_a_baseline_is_known_however_many_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_states, "GATHERING_BYTES", 0)
    monkeypatch.setattr(counting, "NEW_STATES", 1)
    channels = Channels()
    for n in range(12):
        channels.window("support", NOON - DAY_S + 300 * n, CALM)
    for n in range(200):
        channels.window(f"ticket-{n}", NOON - 12 * HOUR_S + 60 * n, {"joy": 1})
        channels.checkpoint()
    assert channels.known() & {"support", "ticket-0"} == {"support"}
    assert channels.surge() == [(f"surge:support:{NOON}", "firing")]


def test_what_is_older_than_a_baseline_may_be_is_compared_with_no_more_and_forgotten() -> None:
    channels = Channels(baseline_days=2, min_baseline_messages=1000)
    for n in range(12):
        channels.window("support", NOON + 300 * n, CALM)
    later = NOON + 2 * DAY_S + 2 * HOUR_S
    for n in range(6):
        assert channels.window("support", later + 300 * n, ANGRY) == [], "nothing recent to compare with"
    for n in range(12):
        channels.window("quiet", later + 300 * n, CALM)
    channels.checkpoint()
    assert channels.known() == {"support", "quiet"}
    for hours in range(1, 60):  # no message moves time by more than an hour
        channels.window("other", later + HOUR_S * hours, CALM)
        channels.checkpoint()
    assert channels.known() == {"other"}


def test_a_channel_whose_alert_fires_is_known_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_states, "GATHERING_BYTES", 0)
    monkeypatch.setattr(counting, "NEW_STATES", 1)
    channels = Channels(min_baseline_messages=1, expire_s=10 * DAY_S)
    for n in range(12):
        channels.window("support", NOON - DAY_S + 300 * n, CALM)
    assert channels.surge() == [(f"surge:support:{NOON}", "firing")]
    for n in range(300):
        channels.window(f"ticket-{n}", NOON + 900 + 60 * n, {"joy": 1})
        channels.checkpoint()
    assert "support" in channels.known()


def test_a_window_without_messages_writes_no_state() -> None:
    """Base windows are kept for hours, and each window that ends meanwhile is judged for all channels."""
    channels = Channels()
    for n in range(20):
        channels.window(f"ticket-{n}", NOON, {"joy": 1})
    channels.window("busy", NOON + 300, CALM)
    channels.checkpoint()
    assert len(channels.known()) == 20
    before = channels.written
    for n in range(2, 12):
        channels.window("busy", NOON + 300 * n, CALM)
        channels.checkpoint()
    assert channels.written - before < 10_000


def test_a_state_takes_no_more_than_it_is_reckoned_with() -> None:
    tracemalloc.start()
    try:
        states = {
            ("surge", f"channel-{n:027}"): ChannelState(
                judged_until=NOON + n, hours=(HourCount(NOON - n, 300 + n, 1000 + n),)
            )
            for n in range(1000)
        }
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(states) <= channel_states.STATE_BYTES + channel_states.HOUR_BYTES
