"""What the topics say at the end, read_committed, held against what was sent."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from stream.events import ALL_CHANNELS, DistressSignal, EmotionEvent, Source
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.rulesfile import RulesFile
from stream.monitor.signalling import SignalPartition
from stream.settings import Settings
from tests.crash.outcomes import Place, Published, Sent, counted_as, problems, read_published
from tests.records import read_committed_all

_WINDOWS_S = (60, 300, 3600)

Cell = tuple[str, int, int, str]
"""(channel, window length, window start, label or outcome)"""


class Proof(NamedTuple):
    """``lost`` and ``doubled`` count messages; ``violations`` says all that is wrong, in words."""

    sent: int
    lost: int
    doubled: int
    alert_records: int
    violations: list[str]


async def prove(settings: Settings, sent: Mapping[Place, Sent]) -> Proof:
    published = await read_published(settings)
    outcomes = _outcomes(published)
    owed = {place for place, message in sent.items() if message.outcome in ("labelled", "dead_letter")}
    alerts = await _alerts(settings)
    violations = [
        *problems(sent, published, count_window_s=settings.count_window_s),
        *wrong_ids(published.events, published.signals),
        *wrong_order(event.source for event in published.events),
        *wrong_cells(batch_count(sent.values()), await _counters(settings)),
        *wrong_revisions(alerts),
        *wrong_alerts(await _due(settings), alerts),
    ]
    lost = sum(outcomes[place] == 0 for place in owed)
    doubled = sum(outcomes[place] > 1 for place in outcomes)
    return Proof(len(sent), lost, doubled, len(alerts), violations)


def wrong_ids(events: Iterable[EmotionEvent], signals: Iterable[DistressSignal]) -> Iterable[str]:
    for what, ids in (("event", (e.id for e in events)), ("signal", (s.id for s in signals))):
        for name, times in Counter(ids).items():
            if times > 1:
                yield f"{what} id {name} occurs {times} times"


def wrong_order(sources: Iterable[Source]) -> Iterable[str]:
    """Events, as their topic has them, follow the offsets of their input partition, and so of each key."""
    last: dict[int, int] = defaultdict(lambda: -1)
    for source in sources:
        partition, offset = source.partition, source.offset
        if offset <= last[partition]:
            yield f"partition {partition}, offset {offset}: its event comes after that of {last[partition]}"
        last[partition] = offset


def wrong_cells(wanted: Counter[Cell], found: Counter[Cell]) -> Iterable[str]:
    for cell in sorted(wanted.keys() | found.keys()):
        if wanted[cell] != found[cell]:
            channel, length, start, name = cell
            yield (
                f"counter of channel {channel}, {length} s from {start}: {name} {found[cell]}, "
                f"should be {wanted[cell]}"
            )


def wrong_revisions(alerts: Iterable[Alert]) -> Iterable[str]:
    """Each revision of an alert once, and none left out."""
    revisions: dict[str, list[int]] = defaultdict(list)
    for alert in alerts:
        revisions[alert.id].append(alert.revision)
    for name, found in revisions.items():
        if found != list(range(1, len(found) + 1)):
            yield f"alert {name} was published with the revisions {found}"


def wrong_alerts(due: Set[str], alerts: Iterable[Alert]) -> Iterable[str]:
    """The alerts about authors that were published are those that a batch raises, no more and no fewer.

    Rules of channels judge windows also by the clock, while no count comes: after a fault they may judge one
    sooner than a batch does, so theirs are not compared.
    """
    found = {alert.id for alert in alerts if alert.kind in ("author", "phrase")}
    for name in sorted(due - found):
        yield f"alert {name} is due and was not published"
    for name in sorted(found - due):
        yield f"alert {name} was published and is not due"


def batch_of_alerts(signals: Iterable[tuple[int, int, float, DistressSignal]]) -> set[str]:
    """Ids of the alerts that the shipped rules raise of all signals, each partition read once and in order.

    ``signals`` are (partition, offset, seconds since the epoch when published, signal).
    """
    rules = RulesFile(None, base_s=60).rules
    partitions: dict[int, SignalPartition] = {}
    due: set[str] = set()
    for number, offset, published_at, signal in signals:
        if number not in partitions:
            partitions[number] = SignalPartition(number, rules, lambda _: None)
        due |= {alert.id for alert in partitions[number].apply(signal, offset, published_at)}
    return due


def batch_count(messages: Iterable[Sent]) -> Counter[Cell]:
    """What a batch over all that was sent counts; what has no label counts for the total alone."""
    count: Counter[Cell] = Counter()
    for message in messages:
        channels = {ALL_CHANNELS} if message.label is None else {ALL_CHANNELS, counted_as(message.channel)}
        for length in _WINDOWS_S:
            start = message.at_ms // 1000 // length * length
            for channel in channels:
                count[channel, length, start, message.label or message.outcome] += 1
    return count


def _outcomes(published: Published) -> Counter[Place]:
    sources = [event.source for event in published.events]
    sources += [returned.letter.source for returned in published.dead_letters]
    return Counter(Place(source.partition, source.offset) for source in sources)


async def _counters(settings: Settings) -> Counter[Cell]:
    """The newest record of each key, summed over shards."""
    records = await read_committed_all(settings.bootstrap_servers or "", settings.topics.counters)
    found: Counter[Cell] = Counter()
    for value in {record.key: record.value for record in records}.values():
        counter = WindowCounter.model_validate_json(value or b"")
        others = {
            "opted_out": counter.opted_out,
            "dead_letter": counter.dead_lettered,
            "tombstone": counter.tombstones,
        }
        start = int(counter.start.timestamp())
        for name, times in {**counter.labels, **others}.items():
            found[counter.channel, counter.window_s, start, name] += times
    return found


async def _due(settings: Settings) -> set[str]:
    records = await read_committed_all(settings.bootstrap_servers or "", settings.topics.signals)
    return batch_of_alerts(
        (
            record.partition,
            record.offset,
            record.timestamp / 1000,
            DistressSignal.model_validate_json(record.value or b""),
        )
        for record in records
    )


async def _alerts(settings: Settings) -> list[Alert]:
    records = await read_committed_all(settings.bootstrap_servers or "", settings.topics.alerts)
    return [Alert.model_validate_json(record.value) for record in records if record.value is not None]
