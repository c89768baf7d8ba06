"""One partition of the signals: the authors' states, and the alerts that follow from them. Pure.

    signal ─► skip if applied ─► remember ─► measure and step each rule ─► alerts

States are kept in memory and written behind: ``take_changes`` hands over, at each checkpoint, what has to be
published and stored. An author that is not in memory is loaded through ``load``.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Final

from stream.events import DistressSignal
from stream.monitor.alerts import (
    Subject,
    alert_id,
    alert_record,
    authors_named,
    ended,
    is_lost,
    is_over,
)
from stream.monitor.author_rules import (
    EVIDENCE_MESSAGES,
    TEXT_BYTES,
    AuthorState,
    RuleState,
    applies,
    behind,
    cut,
    is_applied,
    measure,
    remember,
    state_of,
    with_state_of,
    without_removed,
)
from stream.monitor.events import Alert
from stream.monitor.lifecycle import Change, Life, Measurement, step, tick
from stream.monitor.rules import AuthorRule, PhraseRule, RuleSet
from stream.monitor.sizes import EVIDENCE_IDS_BYTES, EVIDENCE_TEXTS_BYTES, last_of

AuthorOrPhraseRule = AuthorRule | PhraseRule

CLOCK_STEP_S: Final = 3600.0
CLOCK_SKEW_S: Final = 60.0
"""How far ahead of its publication a signal's own time is believed."""

FORGETTING_S: Final = 600.0
"""For so long, alerts of a forgotten author are looked for: the board may be behind, and so may whoever
publishes alerts of channels that are called after them."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The event time that authors expire by, and when, by the clocks of machines, it was that time.

    Without signals it goes on with the machines' clocks. One signal moves it by ``CLOCK_STEP_S`` at most, and
    never past the moment at which it was published: one wrong time must not make everybody expire.
    """

    event: float = 0.0
    at: float = 0.0

    def with_signal(self, ts: float, published_at: float | None) -> "Clock":
        at = max(self.at, ts if published_at is None else published_at)
        furthest = min(at, self.event + CLOCK_STEP_S) if self.event else at
        return Clock(max(self.event, min(ts, furthest)), at)

    def event_time(self, now: float) -> float:
        """The event time at a moment of the machines' clocks."""
        return self.event + max(0.0, now - self.at)


@dataclass(slots=True)
class SignalChanges:
    """What a checkpoint has to publish and to store. A state of None is deleted.

    ``offset`` is that of the last record whose effects are in it. ``forgetting`` says of authors whether
    their alerts are looked for from now on, or no longer.
    """

    offset: int
    alerts: list[Alert] = field(default_factory=list)
    forgotten_alerts: list[str] = field(default_factory=list)
    states: dict[str, AuthorState | None] = field(default_factory=dict)
    forgetting: dict[str, bool] = field(default_factory=dict)
    clock: Clock | None = None
    moved: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to write; ``moved`` says it of the offset."""
        return bool(self.moved or self.alerts or self.forgotten_alerts or self.states or self.forgetting)


class SignalPartition:
    """The authors of one partition of the signals topic. ``forgetting`` are those of ``SignalChanges``."""

    def __init__(
        self,
        partition: int,
        rules: RuleSet,
        load: Callable[[str], AuthorState | None],
        *,
        clock: Clock | None = None,
        forgetting: Iterable[str] = (),
        max_authors: int = 50_000,
    ) -> None:
        self.rules = rules
        self.offset = -1
        self._partition = partition
        self._load = load
        self._max_authors = max_authors
        self._authors: OrderedDict[str, AuthorState] = OrderedDict()
        self._clock = self._stored_clock = clock or Clock()
        self._forgetting: dict[str, float | None] = dict.fromkeys(forgetting)
        """Authors forgotten lately, and the first tick since: only then was there a board to look at."""
        self._changes = SignalChanges(-1)
        self._ended: dict[str, int] = {}
        """Alerts that were ended without a state, and the revision of their last record."""

    def apply(self, signal: DistressSignal, offset: int, published_at: float | None = None) -> list[Alert]:
        """Take one signal, which lies at ``offset`` in the signals topic; the alerts that follow from it.

        ``published_at`` is the record's time stamp: what claims to be of a later time counts as of then. A
        record that has been applied already is passed over, and so is one that says the same again.
        """
        if offset <= self.offset:
            return []
        self.offset = offset
        name = subject_name(signal.author, signal.conversation, signal.channel, self._partition)
        state = self._state(name)
        self._clock = self._clock.with_signal(signal.ts.timestamp(), published_at)
        if is_applied(state, signal):
            return []
        at = signal.ts.timestamp()
        if published_at is not None:
            at = min(at, published_at + CLOCK_SKEW_S)
        state, alerts = observe(self.rules.of_authors, state, signal, name, self._partition, at)
        if len(state.rules) > len(self.rules.rules):
            state = without_removed(state, {rule.name for rule in self.rules.rules})
        self._store(name, state)
        self._changes.alerts += alerts
        return alerts

    def skip(self, offset: int) -> None:
        """Pass over a record that is no signal."""
        self.offset = max(offset, self.offset)

    def tick(self, known: Collection[Alert], now: float, of_channels: Collection[Alert] = ()) -> list[Alert]:
        """Let time pass for alerts that fire: they may expire or come out of quiet hours.

        One whose rule is no longer in force ends, and so does one that no state remembers, once it would
        have expired; of one of another partition, which the topic no longer has, nothing here knows. Of all
        that are given, those that name an author who was forgotten are deleted, ended or not.
        """
        gone = self._delete_forgotten((*known, *of_channels), now) if self._forgetting else ()
        rules = {rule.name: rule for rule in self.rules.of_authors}
        found: list[Alert] = []
        for alert in known:
            if alert.status != "firing" or alert.id in gone:
                continue
            name = subject_name(alert.author, alert.conversation, alert.channel, self._partition)
            ours = alert.shard == self._partition
            state, rule = self._state(name) if ours else AuthorState(), rules.get(alert.rule)
            life = state.rules.get(alert.rule, RuleState()).life
            if is_over(alert, life) or self._ended.get(alert.id, 0) > alert.revision:
                continue
            if rule is None or is_lost(alert, life, rule.expire_s, now):
                found.append(self._end(alert, state, rule, now))
                continue
            if life.alert_id != alert.id or now <= state.at:
                continue
            state, changed = elapse(rules.values(), state, now, name, self._partition)
            if changed:
                self._store(name, state)
                found += changed
        self._changes.alerts += found
        return found

    def expires_at(self, alert: Alert) -> float | None:
        """When an alert that fires will expire if its author says no more; None where it is over."""
        rule = next((rule for rule in self.rules.of_authors if rule.name == alert.rule), None)
        life = self._life_of(alert)
        return None if rule is None or life.alert_id != alert.id else life.above_at + rule.expire_s

    def forget(self, name: str, offset: int) -> None:
        """Delete what is known of an author, and the alerts about them that fire.

        Those that have ended no state knows of: ``tick`` deletes them, for ``FORGETTING_S``.
        """
        if offset <= self.offset:
            return
        self.offset = offset
        state = self._state(name)
        lives = (rule.life for rule in state.rules.values())
        self._changes.forgotten_alerts += [life.alert_id for life in lives if life.alert_id is not None]
        self._changes.alerts = [alert for alert in self._changes.alerts if alert.author != name]
        self._forgetting[name] = None
        self._changes.forgetting[name] = True
        self._authors[name] = AuthorState()
        self._changes.states[name] = None

    def expire(self, found: Iterable[tuple[str, float]], keep_s: float, now: float) -> None:
        """Delete those that are too old of some stored authors, given with the time of their last message."""
        oldest = self._clock.event_time(now) - keep_s
        for name, at in found:
            known = self._authors.get(name)
            if (at if known is None else known.at) < oldest:
                self._authors.pop(name, None)
                self._changes.states[name] = None

    def take_changes(self) -> SignalChanges:
        """What has changed since the last call."""
        changes = self._changes
        if self._clock != self._stored_clock and (changes.states or self.offset != changes.offset):
            changes.clock = self._stored_clock = self._clock
        changes.moved = self.offset != changes.offset
        changes.offset = self.offset
        self._changes = SignalChanges(self.offset)
        self._evict(changes.states)
        return changes

    def _end(
        self, alert: Alert, state: AuthorState, rule: AuthorRule | PhraseRule | None, now: float
    ) -> Alert:
        """The last record of an alert. The state of its author says so, unless another fires there."""
        life, last = ended(alert, rule, now)
        self._ended[alert.id] = last.revision
        known = state.rules.get(alert.rule, RuleState())
        if alert.shard == self._partition and known.life.alert_id in (None, alert.id):
            name = subject_name(alert.author, alert.conversation, alert.channel, self._partition)
            over = replace(known, life=life, measured=None)
            self._store(name, replace(state, rules={**state.rules, alert.rule: over}))
        return last

    def _life_of(self, alert: Alert) -> Life:
        """Where the alerts of its rule about its subject stand."""
        name = subject_name(alert.author, alert.conversation, alert.channel, self._partition)
        return self._state(name).rules.get(alert.rule, RuleState()).life

    def _delete_forgotten(self, known: Iterable[Alert], now: float) -> set[str]:
        """Delete the alerts that name forgotten authors, but for those that have begun since."""
        gone = {
            alert.id
            for alert in known
            if not authors_named(alert).isdisjoint(self._forgetting)
            and self._life_of(alert).alert_id != alert.id
        }
        self._changes.forgotten_alerts += gone
        for author, since in list(self._forgetting.items()):
            if since is None:
                self._forgetting[author] = now
            elif now - since >= FORGETTING_S:
                del self._forgetting[author]
                self._changes.forgetting[author] = False
        return gone

    def _state(self, name: str) -> AuthorState:
        return self._authors.get(name) or self._load(name) or AuthorState()

    def _store(self, name: str, state: AuthorState) -> None:
        self._authors[name] = state
        self._authors.move_to_end(name)
        self._changes.states[name] = state

    def _evict(self, being_stored: Container[str]) -> None:
        """Drop the authors not heard of for longest; one that is not stored yet stays."""
        while len(self._authors) > self._max_authors:
            oldest = next(iter(self._authors))
            if oldest in being_stored:
                return
            del self._authors[oldest]


def subject_name(author: str | None, conversation: str | None, channel: str | None, shard: int) -> str:
    """Whose state a signal belongs to: the author's, else the conversation's or the channel's."""
    return author if author is not None else f"~{shard}~{conversation or channel or '-'}"


def observe(
    rules: Collection[AuthorOrPhraseRule],
    state: AuthorState,
    signal: DistressSignal,
    name: str,
    shard: int,
    at: float,
) -> tuple[AuthorState, list[Alert]]:
    """An author's state after a signal of the moment ``at``, and the alerts that follow.

    A signal from the past counts as now.
    """
    at = max(at, state.at)
    state = remember(state, signal, at)
    alerts: list[Alert] = []
    for rule in rules:
        if not applies(rule, signal.channel):
            continue
        before = state_of(rule, state)
        after, measured = measure(rule, before, signal, at)
        life, change = step(
            before.life, rule.policy, measured.reading, at, partial(alert_id, rule, name, signal.id)
        )
        if life.firing or change is not None:
            measured = _with_evidence(rule, state, measured, at, len(rules))
        fired = measured if change is Change.FIRED or before.measured is None else before.measured
        after = replace(after, life=life, measured=fired if life.firing else None)
        state = with_state_of(rule, state, after)
        if change is not None:
            subject = _subject(state, name, shard)
            latest = None if measured is fired else measured
            alerts.append(
                alert_record(
                    rule, subject, fired, change, latest=latest, before=before.life, after=life, at=at
                )
            )
    return state, alerts


def elapse(
    rules: Iterable[AuthorOrPhraseRule], state: AuthorState, now: float, name: str, shard: int
) -> tuple[AuthorState, list[Alert]]:
    """An author's state after time has passed without a message, and the alerts that follow."""
    alerts: list[Alert] = []
    for rule in rules:
        before = state.rules.get(rule.name)
        if before is None or before.measured is None:
            continue
        life, change = tick(before.life, rule.policy, now)
        if change is None:
            continue
        after = replace(before, life=life, measured=before.measured if life.firing else None)
        state = replace(state, rules={**state.rules, rule.name: after})
        subject = _subject(state, name, shard)
        alerts.append(
            alert_record(rule, subject, before.measured, change, before=before.life, after=life, at=now)
        )
    return state, alerts


def _with_evidence(
    rule: AuthorOrPhraseRule, state: AuthorState, measured: Measurement, at: float, in_force: int
) -> Measurement:
    """The measurement with the messages that it rests on, their span and their confidence.

    ``in_force`` rules share the room that a record has for texts and ids.
    """
    shown = behind(rule, state, measured.messages)
    text_bytes = min(TEXT_BYTES, EVIDENCE_TEXTS_BYTES // (EVIDENCE_MESSAGES * in_force))
    return replace(
        measured,
        start=shown[0].at if shown else at,
        end=at,
        confidence=fmean(seen.confidence for seen in shown) if shown else None,
        message_ids=last_of(tuple(seen.id for seen in shown), EVIDENCE_IDS_BYTES // in_force),
        texts=tuple(cut(seen.text, text_bytes) for seen in shown if seen.text is not None),
    )


def _subject(state: AuthorState, name: str, shard: int) -> Subject:
    return Subject(
        shard=shard,
        author=None if name.startswith("~") else name,
        channel=state.channel,
        conversation=state.conversation,
        model=state.model,
    )
