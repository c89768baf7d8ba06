"""Author and phrase rules, through the partition that applies them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import DistressSignal
from stream.monitor.author_rules import AuthorState
from stream.monitor.events import NOTICE, Alert
from stream.monitor.rules import RuleSet
from stream.monitor.signalling import FORGETTING_S, SignalPartition
from stream.monitor.store import decode_author, encode_author
from stream.topics import KAFKA_MAX_MESSAGE_BYTES
from tests.stream.monitor.factories import NOON, author_rule, ids, rules, signal

SUSTAINED = rules(author_rule(enter=0.6, leave=0.45, min_messages=5, cooldown_s=3600))
SCORES = st.lists(st.floats(0, 1), max_size=40)


def run(rule_set: RuleSet, signals: list[DistressSignal]) -> list[Alert]:
    partition = SignalPartition(0, rule_set, lambda _: None)
    return [alert for offset, one in enumerate(signals) for alert in partition.apply(one, offset)]


def sad(
    messages: int, *, start: int = 0, author: str = "author-a", gap_s: float = 60
) -> list[DistressSignal]:
    return [
        signal(0.95, author=author, offset=n, ts=NOON + gap_s * n) for n in range(start, start + messages)
    ]


@given(st.floats(0, 1), st.lists(st.floats(0, 0.3), max_size=30))
def test_one_sad_message_never_alerts(score: float, others: list[float]) -> None:
    scores = [*others, score]
    assert run(SUSTAINED, [signal(s, offset=n, ts=NOON + n) for n, s in enumerate(scores)]) == []


def test_distress_that_lasts_alerts_once_with_its_evidence() -> None:
    (alert,) = run(SUSTAINED, sad(8))
    assert alert.id == "sustained:author-a:messages-0-4"
    assert alert.status == "firing"
    assert alert.author == "author-a"
    assert alert.notice == NOTICE
    assert alert.recipients == ("team",)
    assert alert.model is not None
    assert alert.model.revision == "1"
    evidence = alert.evidence
    assert evidence.messages == 5
    assert evidence.message_ids == tuple(f"messages-0-{n}" for n in range(5))
    assert evidence.texts == ()
    assert evidence.score >= 0.6
    assert evidence.baseline is not None
    assert evidence.baseline < 0.4
    assert evidence.confidence == 0.9
    assert (evidence.window_end - evidence.window_start).total_seconds() == 240


def test_text_is_in_the_evidence_only_where_the_signals_carry_it() -> None:
    signals = [signal(0.95, offset=n, ts=NOON + n, text=f"text {n}") for n in range(5)]
    (alert,) = run(SUSTAINED, signals)
    assert alert.evidence.texts == tuple(f"text {n}" for n in range(5))


def test_an_author_for_whom_it_is_usual_does_not_alert() -> None:
    usual = rules(author_rule(enter=0.6, leave=0.45, above_baseline=0.3, baseline_prior=0.7))
    assert run(usual, [signal(0.8, offset=n, ts=NOON + n) for n in range(40)]) == []


def test_it_resolves_when_the_level_falls_below_the_leave_level() -> None:
    calm = [signal(0.0, offset=10 + n, ts=NOON + 1000 + n) for n in range(5)]
    alerts = run(SUSTAINED, sad(5) + calm)
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert alerts[0].id == alerts[1].id
    assert alerts[1].ends_at is not None
    assert alerts[1].revision > alerts[0].revision


def test_after_a_long_silence_messages_are_counted_anew() -> None:
    later = [signal(0.95, offset=10 + n, ts=NOON + 30 * 86400 + n) for n in range(4)]
    assert run(SUSTAINED, sad(4) + later) == []


def test_an_escalation_alerts_on_the_rise_within_its_span() -> None:
    rule = author_rule(measure="escalation", enter=0.4, leave=0.2, floor=0.5, span_s=3600, min_messages=4)
    calm = [signal(0.1, offset=n, ts=NOON + 60 * n) for n in range(10)]
    rise = [signal(0.95, offset=10 + n, ts=NOON + 600 + 60 * n) for n in range(4)]
    slow = [signal(0.95, offset=10 + n, ts=NOON + 7200 * (n + 1)) for n in range(4)]
    assert [alert.status for alert in run(rules(rule), calm + rise)] == ["firing"]
    assert run(rules(rule), calm + slow) == []


def test_a_phrase_rule_alerts_on_the_name_of_its_list() -> None:
    rule = {"name": "words", "kind": "phrase", "lists": ["urgent"]}
    signals = [
        signal(0.1, offset=0),
        signal(0.1, offset=1, phrases=["billing"]),
        signal(0.1, offset=2, phrases=["urgent"]),
        signal(0.1, offset=3, phrases=["urgent"]),
    ]
    (alert,) = run(rules(rule), signals)
    assert alert.severity == "critical"
    assert alert.evidence.message_ids == ("messages-0-2",)


def test_a_phrase_without_an_author_is_kept_by_conversation_or_channel() -> None:
    rule = {"name": "words", "kind": "phrase", "lists": ["urgent"]}
    (alert,) = run(rules(rule), [signal(author=None, phrases=["urgent"])])
    assert alert.author is None
    assert alert.channel == "support"


@given(st.dictionaries(st.sampled_from("abcd"), SCORES, max_size=4), st.integers(0, 2**16))
def test_the_order_of_authors_does_not_matter(scores: dict[str, list[float]], seed: int) -> None:
    streams = {
        author: [
            signal(s, author=author, offset=n, partition=ord(author), ts=NOON + 60 * n)
            for n, s in enumerate(values)
        ]
        for author, values in scores.items()
    }
    one_by_one = [one for stream in streams.values() for one in stream]
    random, left = Random(seed), [list(stream) for stream in streams.values() if stream]
    mixed = []
    while left:
        stream = random.choice(left)
        mixed.append(stream.pop(0))
        left = [stream for stream in left if stream]
    assert sorted(ids(run(SUSTAINED, one_by_one))) == sorted(ids(run(SUSTAINED, mixed)))


@given(SCORES, st.integers(0, 2**16))
def test_a_replay_gives_the_same_alerts_and_none_twice(scores: list[float], seed: int) -> None:
    """The stream stops at a random record and goes on from an earlier one, as after a crash."""
    signals = [signal(s, offset=n, ts=NOON + 60 * n) for n, s in enumerate(scores)]
    live = run(SUSTAINED, signals)
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    stop = Random(seed).randint(0, len(signals))
    begin = Random(seed + 1).randint(0, stop)
    replayed = [alert for n in range(stop) for alert in partition.apply(signals[n], n)]
    replayed += [alert for n in range(begin, len(signals)) for alert in partition.apply(signals[n], n)]
    assert replayed == live


@given(SCORES, st.integers(0, 40))
def test_a_state_that_was_stored_goes_on_where_it_was(scores: list[float], stop: int) -> None:
    signals = [signal(s, offset=n, ts=NOON + 60 * n) for n, s in enumerate(scores)]
    stop = min(stop, len(signals))
    first = SignalPartition(0, SUSTAINED, lambda _: None)
    alerts = [alert for n in range(stop) for alert in first.apply(signals[n], n)]
    stored = {
        name: decode_author(encode_author(state))
        for name, state in first.take_changes().states.items()
        if state is not None
    }
    second = SignalPartition(0, SUSTAINED, stored.get)
    alerts += [alert for n in range(stop, len(signals)) for alert in second.apply(signals[n], n)]
    assert alerts == run(SUSTAINED, signals)


@pytest.mark.parametrize("character", ["\x01", "\U0001f622", "a"])
def test_what_is_known_of_an_author_fits_into_a_record_whatever_they_write(character: str) -> None:
    tables = [author_rule(name=f"rule-{n}", enter=0.6, leave=0.45, min_messages=5) for n in range(8)]
    partition = SignalPartition(0, rules(*tables), lambda _: None)
    for n in range(30):
        one = signal(0.95, offset=n, ts=NOON + n, text=character * 50_000, channel=character * 1024)
        partition.apply(one, n)
    changes = partition.take_changes()
    assert len(changes.alerts) == len(tables)
    assert all(alert.evidence.texts[0].startswith(character * 600) for alert in changes.alerts)
    (state,) = changes.states.values()
    assert state is not None
    assert len(encode_author(state)) < KAFKA_MAX_MESSAGE_BYTES


def test_an_alert_expires_when_its_author_says_no_more() -> None:
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    fired = [alert for offset, one in enumerate(sad(6)) for alert in partition.apply(one, offset)]
    assert partition.tick(fired, NOON + 3600) == []
    (alert,) = partition.tick(fired, NOON + 2 * 86400)
    assert alert.status == "resolved"
    assert alert.evidence.messages == 5
    assert partition.tick(fired, NOON + 2 * 86400) == []


def test_an_alert_without_an_author_expires_too() -> None:
    rule = {"name": "words", "kind": "phrase", "lists": ["urgent"]}
    partition = SignalPartition(0, rules(rule), lambda _: None)
    fired = partition.apply(signal(author=None, phrases=["urgent"]), 0)
    assert [alert.status for alert in partition.tick(fired, NOON + 2 * 86400)] == ["resolved"]


def test_an_alert_ends_when_its_rule_is_taken_away() -> None:
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    fired = [alert for offset, one in enumerate(sad(6)) for alert in partition.apply(one, offset)]
    partition.rules = rules()
    (alert,) = partition.tick(fired, NOON + 400)
    assert (alert.status, alert.revision) == ("resolved", 2)
    assert alert.ends_at is not None


def test_what_removed_rules_knew_of_an_author_is_forgotten_once_their_alerts_have_ended() -> None:
    day = 86_400
    partition = SignalPartition(0, rules(author_rule(name="version-0")), lambda _: None)
    for offset, one in enumerate(sad(8)):
        partition.apply(one, offset)
    assert partition._state("author-a").firing
    (fired,) = partition.take_changes().alerts
    for version in range(1, 20):
        partition.rules = rules(author_rule(name=f"version-{version}"))
        partition.apply(signal(0.1, offset=100 + version, ts=NOON + 60 * version), 100 + version)
    assert partition._state("author-a").firing
    partition.tick([fired], NOON + 3600)
    assert set(partition._state("author-a").rules) == {"version-0", "version-19"}
    partition.apply(signal(0.1, offset=200, ts=NOON + 2 * day), 200)
    assert set(partition._state("author-a").rules) == {"version-19"}


def test_an_alert_that_no_state_remembers_ends_once_it_would_have_expired() -> None:
    fired = run(SUSTAINED, sad(6))
    elsewhere = SignalPartition(0, SUSTAINED, lambda _: None)
    assert elsewhere.tick(fired, NOON + 400) == []
    assert ids(elsewhere.tick(fired, NOON + 2 * 86400)) == [(fired[0].id, "resolved")]


@pytest.mark.parametrize("resolved", [False, True])
def test_an_alert_whose_state_was_lost_ends_beside_a_newer_one_of_its_author(resolved: bool) -> None:
    """As under another group id: what is known of the author begins anew, and so may an alert."""
    (lost,) = run(SUSTAINED, sad(6))
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    again = [signal(0.95, offset=10 + n, ts=NOON + 3600 + n) for n in range(6)]
    calm = [signal(0.0, offset=20 + n, ts=NOON + 4000 + n) for n in range(8 * resolved)]
    told = [alert for offset, one in enumerate((*again, *calm)) for alert in partition.apply(one, offset)]
    newest = told[-1]
    assert newest.status == ("resolved" if resolved else "firing")
    expired = NOON + 2 * 86400
    known = [lost, newest]
    ended = partition.tick(known, expired)
    assert ids(ended) == [(one.id, "resolved") for one in known if one.status == "firing"]
    assert partition.tick(known, expired + 2) == []


def test_an_alert_says_in_words_what_ended_it() -> None:
    (fired,) = run(SUSTAINED, sad(6))
    assert fired.ended_by is None
    (_, calm) = run(SUSTAINED, [*sad(6), *(signal(0.0, offset=6 + n, ts=NOON + 60 + n) for n in range(8))])
    assert calm.ended_by == "its score fell below the level at which it ends"
    quiet, removed, unknown = (SignalPartition(0, SUSTAINED, lambda _: None) for _ in range(3))
    for offset, one in enumerate(sad(6)):
        quiet.apply(one, offset)
        removed.apply(one, offset)
    removed.rules = rules()
    (expired,) = quiet.tick([fired], NOON + 2 * 86400)
    assert expired.ended_by == "nothing reached the level at which it alerts for 24 h"
    (without_rule,) = removed.tick([fired], NOON + 400)
    assert without_rule.ended_by == "its rule is no longer in force"
    (lost,) = unknown.tick([fired], NOON + 2 * 86400)
    assert lost.ended_by == "the monitor no longer has what it knew of this, so no message could end it"


def test_forgetting_an_author_deletes_the_state_and_the_alerts() -> None:
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    for offset, one in enumerate(sad(6)):
        partition.apply(one, offset)
    partition.take_changes()
    partition.forget("author-a", 6)
    changes = partition.take_changes()
    assert changes.states == {"author-a": None}
    assert changes.forgotten_alerts == ["sustained:author-a:messages-0-4"]
    assert partition.apply(signal(0.95, offset=7, ts=NOON + 7), 7) == []


def test_forgetting_an_author_deletes_the_alerts_that_have_ended_too() -> None:
    fired, resolved = run(SUSTAINED, sad(8) + [signal(0.0, offset=n, ts=NOON + 60 * n) for n in range(8, 16)])
    others = fired.model_copy(update={"id": "sustained:b:messages-0-4", "author": "b"})
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    partition.forget("author-a", 20)
    assert partition.tick([resolved, others], NOON + 900) == []
    assert partition.take_changes().forgotten_alerts == [resolved.id]


def test_alerts_that_are_heard_of_after_their_author_was_forgotten_are_deleted_for_a_time() -> None:
    """The board may be behind, and so may whoever publishes."""
    fired, resolved = run(SUSTAINED, sad(8) + [signal(0.0, offset=n, ts=NOON + 60 * n) for n in range(8, 16)])
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    partition.forget("author-a", 20)
    partition.take_changes()
    partition.tick([], NOON + 900)
    assert partition.tick([fired], NOON + 902) == []
    assert partition.take_changes().forgotten_alerts == [fired.id]
    partition.tick([], NOON + 900 + FORGETTING_S)
    assert partition.take_changes().forgetting == {"author-a": False}
    partition.tick([resolved], NOON + 902 + FORGETTING_S)
    assert not partition.take_changes()


def test_an_alert_about_whoever_writes_again_after_being_forgotten_stays() -> None:
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    partition.forget("author-a", 0)
    fired = [alert for n, one in enumerate(sad(8), start=1) for alert in partition.apply(one, n)]
    assert fired
    partition.take_changes()
    partition.tick(fired, NOON + 500)
    assert partition.take_changes().forgotten_alerts == []


def test_authors_beyond_the_bound_leave_memory_only_once_they_are_stored() -> None:
    stored: dict[str, AuthorState] = {}
    partition = SignalPartition(0, SUSTAINED, stored.get, max_authors=2)
    alerts = []
    for n in range(6):
        for number, author in enumerate("abcdef"):
            one = signal(0.95, author=author, offset=n, partition=ord(author), ts=NOON + 60 * n)
            alerts += partition.apply(one, 6 * n + number)
        stored |= {name: state for name, state in partition.take_changes().states.items() if state}
    assert len(alerts) == 6


def test_what_made_an_alert_fire_stays_when_it_resolves_and_what_ended_it_stands_beside() -> None:
    calm = [signal(0.0, offset=n, ts=NOON + 60 * n, text="fine") for n in range(8, 16)]
    sent = [one.model_copy(update={"text": "help"}) for one in sad(8)] + calm
    fired, resolved = run(SUSTAINED, sent)
    assert resolved.status == "resolved"
    assert resolved.evidence == fired.evidence
    assert resolved.evidence.score >= 0.6
    assert set(resolved.evidence.texts) == {"help"}
    assert resolved.latest is not None
    assert resolved.latest.score < 0.45
    assert resolved.summary == fired.summary


def test_an_authors_alert_whose_rule_is_removed_while_it_resolves_ends_once() -> None:
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    alerts = [one for offset, each in enumerate(sad(8)) for one in partition.apply(each, offset)]
    (fired,) = alerts
    partition.rules = rules()
    now = NOON + 10_000
    assert len(partition.tick(alerts, now)) == 1
    assert partition.tick(alerts, now + 2) == []
    partition = SignalPartition(0, SUSTAINED, lambda _: None)
    calm = [signal(0.0, offset=n, ts=NOON + 60 * n) for n in range(8, 16)]
    for offset, each in enumerate([*sad(8), *calm]):
        partition.apply(each, offset)
    partition.rules = rules()
    assert partition.tick([fired], now) == []
