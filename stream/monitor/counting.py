"""One partition of the counts: windows of its channels, and the alerts that follow from them. Pure.

    delta ─► late? ─► fold into windows ─► watermark moves ─► judge windows that are over ─► alerts

The windows of one partition live in memory and are written behind: ``take_changes`` hands over, at each
checkpoint, what has to be published and stored. The watermark, the windows judged and the late messages
are part of the checkpoint, so that after a crash the same deltas lead to the same counts and alerts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final

from stream.events import CountDelta, ModelRef, WindowCounts
from stream.monitor.alerts import (
    Subject,
    alert_id,
    alert_record,
    authors_named,
    ended,
    is_lost,
    is_over,
)
from stream.monitor.base_windows import BaseWindows
from stream.monitor.channel_rules import ChannelState, is_silent, judge, lacks_baseline, learn, under
from stream.monitor.channel_states import StateKey, forgotten
from stream.monitor.count_changes import Checkpoint, CountChanges, WindowKey
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.fold import (
    Tally,
    Window,
    counted,
    counter_record,
    input_partition,
)
from stream.monitor.lifecycle import Change, Measurement, step, tick
from stream.monitor.rules import ChannelRule, DriftRule, RuleSet
from stream.monitor.watermark import Arrivals, SourceClock, watermark, without_forgotten
from stream.monitor.windows import HOUR_S, is_late, window_lengths, window_start

NEW_STATES: Final = 4_096
"""After so many, or an hour of event time, it is seen which states can be forgotten."""
FORGOTTEN_AT_ONCE: Final = 10_000
"""States that one checkpoint deletes at most: each is a record in its transaction."""

MAX_AHEAD_S: Final = 24 * 3600
"""How far ahead of a delta's publication a window may lie."""


@dataclass(frozen=True, slots=True)
class CountPolicy:
    """Settings of counting, in seconds of event time."""

    base_s: int = 60
    allowed_lateness_s: float = 600.0
    judge_delay_s: float = 30.0
    keep_states_s: float = inf
    """How long the state of a channel is kept after its newest window."""

    @property
    def lengths_s(self) -> tuple[int, ...]:
        return window_lengths(self.base_s)


class CountPartition:
    """The channels of one partition of the counts topic."""

    def __init__(
        self,
        partition: int,
        rules: RuleSet,
        policy: CountPolicy,
        *,
        checkpoint: Checkpoint | None = None,
        windows: dict[WindowKey, Window] | None = None,
        states: dict[StateKey, ChannelState] | None = None,
    ) -> None:
        self.rules = rules
        self.checkpoint = checkpoint or Checkpoint()
        self.model: ModelRef | None = None
        self.drift: dict[StateKey, Measurement] = {}
        self._partition = partition
        self._policy = policy
        self._windows = BaseWindows(policy.base_s, windows or {})
        self._arrivals = Arrivals.going_on(self.checkpoint.sources)
        self._states = states or {}
        self._firing = {key for key, state in self._states.items() if state.measured is not None}
        self._looked_at, self._looked_over = -HOUR_S, 0
        self._leaving: list[tuple[StateKey, ChannelState]] = []
        self._taken = self.checkpoint
        self._changed_states: set[StateKey] = set()
        self._alerts: list[Alert] = []
        self._forgotten_alerts: list[str] = []
        self._ended: dict[str, int] = {}
        """Alerts that were ended without a state, and the revision of their last record."""

    @property
    def late_messages(self) -> int:
        return self.checkpoint.late

    @property
    def channel_states(self) -> int:
        """How many pairs of a rule and a channel it knows anything of."""
        return len(self._states)

    def apply(self, delta: CountDelta, offset: int, published_at: float | None = None) -> list[Alert]:
        """Take one delta, which lies at ``offset`` in the counts topic; the alerts that follow from it.

        ``published_at`` is the record's time stamp, where it has one: a delta cannot count messages from
        after it. A record that has been applied already is passed over.
        """
        if offset <= self.checkpoint.offset:
            return []
        self.model = delta.model or self.model
        for counts in delta.windows:
            self._count(delta, counts, published_at)
        before = self.checkpoint.watermark
        self.checkpoint = replace(self.checkpoint, offset=offset)
        self._move(delta, published_at)
        if self.checkpoint.watermark == before:
            return []
        until = self.checkpoint.watermark - self._policy.judge_delay_s
        return self._told(self._judge(until) + self._elapse(until))

    def _move(self, delta: CountDelta, published_at: float | None) -> None:
        """Move the watermark as far as the delta can."""
        if not delta.windows:
            return
        name = input_partition(delta.source)
        clock = self.checkpoint.sources.get(name, SourceClock())
        last_offset = delta.source.last_offset
        self._arrivals = self._arrivals.with_commit(name, last_offset, published_at)
        clock = clock.with_commit(last_offset, _most_of(delta), published_at, self._arrivals.at)
        clocks = without_forgotten({**self.checkpoint.sources, name: clock})
        newest = max(self.checkpoint.watermark, watermark(clocks.values(), self._policy.allowed_lateness_s))
        self.checkpoint = replace(self.checkpoint, watermark=newest, sources=clocks)

    def skip(self, offset: int) -> None:
        """Pass over a record that is no delta."""
        self.checkpoint = replace(self.checkpoint, offset=max(offset, self.checkpoint.offset))

    def forget(self, author: str, offset: int) -> None:
        """Delete what is known of channels that are called after an author, and the alerts of them that fire.

        ``author`` is a pseudonym. What is published of these channels' windows stays.
        """
        if offset <= self.checkpoint.offset:
            return
        self.skip(offset)
        for key in [key for key in self._states if author in key[1]]:
            life = self._states.pop(key).life
            self._firing.discard(key)
            self.drift.pop(key, None)
            self._changed_states.add(key)
            self._forgotten_alerts += [] if life.alert_id is None else [life.alert_id]
        self._windows.forget(author)
        self._alerts = [alert for alert in self._alerts if author not in authors_named(alert)]

    def end_if_orphaned(self, alert: Alert, now: float) -> list[Alert]:
        """End an alert whose rule is no longer in force, or that no state remembers, as in ``is_lost``.

        Of one of another partition, which the topic no longer has, nothing here knows.
        """
        key, ours = (alert.rule, alert.channel or ""), alert.shard == self._partition
        state = self._states.get(key, ChannelState()) if ours else ChannelState()
        rule = next((rule for rule in self.rules.of_channels if rule.name == alert.rule), None)
        if is_over(alert, state.life) or self._ended.get(alert.id, 0) > alert.revision:
            return []
        if rule is not None and not is_lost(alert, state.life, rule.expire_s, now):
            return []
        life, last = ended(alert, rule, now)
        self._ended[alert.id] = last.revision
        if ours and state.life.alert_id in (None, alert.id):  # else another alert fires there
            self._keep(key, replace(state, life=life, measured=None))
        return self._told([last])

    def tick(self, now: float) -> list[Alert]:
        """Let time pass while no delta comes: judge windows that have ended, and let old alerts expire.

        Windows are judged up to the newest one that holds messages, not beyond: messages that come
        after an outage still find theirs unjudged.
        """
        newest = max((clock.newest for clock in self.checkpoint.sources.values()), default=0)
        newest = max(self.checkpoint.watermark, min(newest, int(now))) + self._policy.base_s
        over = now - self._policy.judge_delay_s
        judged = self._judge(min(over, newest), newest if newest <= over else None, over)
        return self._told(judged + self._elapse(over))

    def take_changes(self) -> CountChanges:
        """What has changed since the last call. Windows expire here, after they have been published."""
        counters = self._counters()
        # What is neither counted into any more nor still to be judged expires.
        open_s = max(self._policy.allowed_lateness_s, self._policy.judge_delay_s)
        windows = self._windows.take_changes(self.checkpoint.watermark, open_s)
        self._expire_states()
        changes = CountChanges(
            counters=counters,
            alerts=self._alerts,
            states={key: self._states.get(key) for key in self._changed_states},
            windows=windows.stored,
            expired=windows.deleted,
            checkpoint=self.checkpoint,
            moved=self.checkpoint != self._taken,
            forgotten_alerts=self._forgotten_alerts,
        )
        self._taken = self.checkpoint
        self._changed_states, self._alerts, self._forgotten_alerts = set(), [], []
        return changes

    def tally(self, channel: str, start_s: int, length_s: int) -> Tally:
        """Counts of a channel in [start, start + length)."""
        return self._windows.tally(channel, start_s, length_s)

    def _count(self, delta: CountDelta, counts: WindowCounts, published_at: float | None) -> None:
        start_s = self._believable(counts, published_at)
        if is_late(
            start_s,
            self._policy.base_s,
            allowed_lateness_s=self._policy.allowed_lateness_s,
            watermark_s=self.checkpoint.watermark,
        ):
            late = counted(self.checkpoint.late, *counts.labels.values())
            self.checkpoint = replace(self.checkpoint, late=late)
            return
        self._windows.count(delta.channel, start_s, counts, delta.source)

    def _believable(self, counts: WindowCounts, published_at: float | None) -> int:
        """The window's start. One so far ahead that it cannot be right counts as of when it was published,
        so that no state waits years to expire; so nothing is lost of a clock that is wrong by more.
        """
        start_s = _seconds(counts)
        if published_at is None or start_s <= published_at + self._policy.base_s:
            return start_s
        early = counted(self.checkpoint.early, *counts.labels.values())
        self.checkpoint = replace(self.checkpoint, early=early)
        return start_s if start_s <= published_at + MAX_AHEAD_S else int(published_at)

    def _expire_states(self) -> None:
        """Forget channels of which nothing need be known (``channel_states``), some with each checkpoint."""
        now = int(self.checkpoint.watermark - self._policy.judge_delay_s)
        grown = len(self._states) >= self._looked_over + NEW_STATES
        if not self._leaving and (grown or now >= self._looked_at + HOUR_S):
            gone = forgotten(self._states, self.rules.of_channels, now, self._policy.keep_states_s)
            self._leaving = [(key, self._states[key]) for key in gone]
            self._looked_at, self._looked_over = now, len(self._states) - len(gone)
        for key, state in self._leaving[:FORGOTTEN_AT_ONCE]:
            if self._states.get(key) is state:  # else it has been heard of since
                del self._states[key]
                self._changed_states.add(key)
        del self._leaving[:FORGOTTEN_AT_ONCE]

    def _counters(self) -> list[WindowCounter]:
        wanted = {
            (channel, length_s, window_start(start_s, length_s))
            for channel, start_s in self._windows.changed
            for length_s in self._policy.lengths_s
        }
        return [
            counter_record(
                channel, start_s, length_s, self.tally(channel, start_s, length_s), shard=self._partition
            )
            for channel, length_s, start_s in sorted(wanted)
        ]

    def _judge(self, until: float, newest: int | None = None, over: float = 0.0) -> list[Alert]:
        """Judge every window that ends by ``until`` and has not been judged; oldest first.

        With ``newest``, also the window that it lies in, where that window is over.
        """
        alerts: list[Alert] = []
        for length_s in sorted({rule.window_s for rule in self.rules.of_channels}):
            end = window_start(until, length_s)
            if newest is not None and -(-newest // length_s) * length_s <= over:
                end = -(-newest // length_s) * length_s
            name = str(length_s)
            done = self.checkpoint.judged_until.get(name, 0)
            if end <= done:
                continue
            for start_s in self._starts(done, end, length_s):
                alerts += self._elapse(start_s, length_s)
                alerts += self._judge_window(start_s, length_s)
            judged_until = {**self.checkpoint.judged_until, name: end}
            self.checkpoint = replace(self.checkpoint, judged_until=judged_until)
        return alerts

    def _starts(self, begin: int, end: int, length_s: int) -> list[int]:
        """Starts of the windows in [begin, end) that hold messages of any channel, or end an hour that does:
        drift rules learn of an hour at its end, whenever its messages came.
        """
        base = self._windows.starts
        found = {window_start(start_s, length_s) for start_s in base}
        found |= {window_start(start_s, HOUR_S) + HOUR_S - length_s for start_s in base}
        return sorted(start_s for start_s in found if begin <= start_s and start_s + length_s <= end)

    def _judge_window(self, start_s: int, length_s: int) -> Iterable[Alert]:
        for rule in self.rules.of_channels:
            if rule.window_s == length_s:
                for channel in self._windows.channels:
                    if rule.watches(channel):
                        yield from self._judge_channel(rule, channel, start_s)

    def _judge_channel(self, rule: ChannelRule | DriftRule, channel: str, start_s: int) -> Iterable[Alert]:
        key = (rule.name, channel)
        before = under(rule, self._states.get(key, ChannelState()))
        end_s = start_s + rule.window_s
        if end_s <= before.judged_until:
            return
        if isinstance(rule, DriftRule):
            start_s = end_s - HOUR_S
        tally = self.tally(channel, start_s, end_s - start_s)
        if is_silent(rule, before, tally):
            return
        measured = judge(rule, before, start_s, end_s, tally)
        if isinstance(rule, DriftRule):
            self.drift[key] = measured
        life, change = step(
            before.life, rule.policy, measured.reading, end_s, partial(alert_id, rule, channel, start_s)
        )
        if life.firing or change is not None:
            measured = replace(measured, sources=self._windows.sources(channel, start_s, end_s))
        fired = measured if change is Change.FIRED or before.measured is None else before.measured
        after = replace(before, judged_until=end_s, life=life, measured=fired if life.firing else None)
        if not life.firing or lacks_baseline(rule, after):  # else nothing could end the alert
            after = learn(rule, after, start_s, end_s, tally)
        self._keep(key, after)
        if change is not None:
            subject = Subject(shard=self._partition, channel=channel, model=self.model)
            latest = None if measured is fired else measured
            yield alert_record(
                rule, subject, fired, change, latest=latest, before=before.life, after=life, at=end_s
            )

    def _elapse(self, now: float, length_s: int | None = None) -> list[Alert]:
        """Alerts of channels that have gone quiet; with ``length_s``, of the rules with windows of it."""
        alerts: list[Alert] = []
        if not self._firing:
            return alerts
        by_name = {rule.name: rule for rule in self.rules.of_channels if length_s in (None, rule.window_s)}
        for key in sorted(self._firing):
            rule, before = by_name.get(key[0]), self._states[key]
            if rule is None or before.measured is None:
                continue
            life, change = tick(before.life, rule.policy, now)
            if change is not None:
                measured = before.measured
                self._keep(key, replace(before, life=life, measured=measured if life.firing else None))
                subject = Subject(shard=self._partition, channel=key[1], model=self.model)
                alerts.append(
                    alert_record(rule, subject, measured, change, before=before.life, after=life, at=now)
                )
        return alerts

    def _keep(self, key: StateKey, state: ChannelState) -> None:
        """Know this of a channel from now on."""
        self._states[key] = state
        self._changed_states.add(key)
        (self._firing.discard if state.measured is None else self._firing.add)(key)

    def _told(self, alerts: list[Alert]) -> list[Alert]:
        """The alerts, which the next checkpoint publishes."""
        self._alerts += alerts
        return alerts


def _most_of(delta: CountDelta) -> int:
    """Start of the window that the middle message of a delta lies in: one of many does not move it."""
    starts = sorted((_seconds(counts), sum(counts.labels.values())) for counts in delta.windows)
    half, passed = sum(messages for _, messages in starts) / 2, 0
    for start_s, messages in starts:
        passed += messages
        if passed > half:
            return start_s
    return starts[-1][0]


def _seconds(counts: WindowCounts) -> int:
    return int(counts.start.timestamp())
