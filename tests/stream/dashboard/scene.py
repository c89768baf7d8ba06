"""A stream as the dashboard reads it: labelled messages, counters, alerts and reviews, made and written.

The tests and the screenshots (``python -m tests.stream.dashboard.screenshots``) show the same scene.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from model.labels import EMOTIONS, LABELS
from stream.cloudevents import to_json
from stream.events import ALL_CHANNELS, ModelRef
from stream.monitor.events import Alert, Evidence, Review, WindowCounter
from stream.settings import Settings

CHANNELS: Final = ("support", "billing", "community", "app-reviews", "peer-support")
AUTHOR: Final = "9f2c41d07be8a6532d1e0c9b7a5f4e3d"
MODEL: Final = ModelRef(name="emotion-distilbert", revision="53aa51172d14")
TEXTS: Final = {
    "sadness": "I cried again on the bus home. I don't know why I keep coming back here.",
    "joy": "It works! Three weeks of waiting and it just works, my daughter is over the moon.",
    "love": "You people are the reason I didn't give up on this. Thank you, really.",
    "anger": "Fourth ticket, fourth copy-and-paste answer. Does anybody read these?",
    "fear": "I keep checking the door at night. Is it normal that I can't calm down?",
    "surprise": "Wait, you replaced the whole unit? I only asked about the filter!",
    "neutral": "Please send the invoice for September as a PDF.",
}

Records = list[tuple[str, bytes, bytes | None]]
"""(topic, key, value)"""


def event(
    n: int, at: datetime, label: str, *, channel: str | None = "support", **fields: Any
) -> dict[str, Any]:
    """A labelled message as the annotator publishes it."""
    distress = {"sadness": 0.82, "fear": 0.88, "anger": 0.46}.get(label, 0.05)
    level = "high" if distress > 0.85 else "elevated" if distress > 0.7 else "none"
    scores = dict.fromkeys(EMOTIONS, 0.01) | ({label: 0.93} if label in EMOTIONS else {})
    return {
        "id": f"messages-0-{n}",
        "label": label,
        "confidence": 0.93,
        "scores": scores,
        "neutral": 0.94 if label == "neutral" else 0.02,
        "distress": {"score": distress, "level": level},
        "author": None,
        "channel": channel,
        "ts": at,
        "labelled_at": at + timedelta(milliseconds=140),
        "model": MODEL.model_dump(),
        "source": {"topic": "messages", "partition": 0, "offset": n},
        "windows": 1,
    } | fields


def counter(
    channel: str, start: datetime, window_s: int, labels: dict[str, int], **fields: Any
) -> WindowCounter:
    values: dict[str, Any] = {
        "channel": channel,
        "window_s": window_s,
        "start": start,
        "end": start + timedelta(seconds=window_s),
        "messages": sum(labels.values()),
        "labels": labels,
        "mean_confidence": 0.88,
        "opted_out": 0,
        "dead_lettered": 0,
        "tombstones": 0,
    }
    return WindowCounter(**values | fields)


def alert(rule: str = "sustained-distress", **fields: Any) -> Alert:
    """An alert about ``AUTHOR`` with good defaults; ``evidence`` is laid over that of an author rule."""
    now = fields.pop("now", datetime.now(UTC))
    evidence = {
        "window_start": now - timedelta(minutes=30),
        "window_end": now,
        "score": 0.71,
        "enter": 0.6,
        "leave": 0.45,
        "measure": "weighted mean of the distress score",
        "baseline": 0.19,
        "baseline_messages": 34,
        "confidence": 0.91,
        "messages": 5,
        "span_messages": 5,
    } | fields.pop("evidence", {})
    values: dict[str, Any] = {
        "id": f"{rule}:{AUTHOR}:messages-0-30",
        "revision": 1,
        "rule": rule,
        "kind": "author",
        "severity": "warning",
        "status": "firing",
        "recipients": ("support-leads",),
        "author": AUTHOR,
        "summary": "sustained distress of one author: 0.71 over 5 messages, 0.19 is usual here. "
        "A person must review it.",
        "channel": "peer-support",
        "starts_at": now - timedelta(minutes=12),
        "updated_at": now,
        "shard": 0,
        "model": MODEL,
        "evidence": Evidence(**evidence),
    }
    return Alert(**values | fields)


def review(of: Alert, verdict: Any, reviewer: str = "Kim", note: str | None = None, n: int = 0) -> Review:
    at = datetime.now(UTC) - timedelta(minutes=90 - n)
    return Review(
        id=f"{of.id}-{verdict}-{n}",
        alert_id=of.id,
        rule=of.rule,
        verdict=verdict,
        reviewer=reviewer,
        note=note,
        at=at,
    )


def whole(settings: Settings, now: datetime, *, with_text: bool = True) -> Records:
    """An hour and a half of five channels; one of them angry of late, one author in need, some reviews."""
    draw = random.Random(4)
    records = [*_windows(settings, now, draw), *_messages(settings, now, draw, with_text=with_text)]
    records += [of_alert(settings, one) for one in _alerts(now, with_text=with_text)]
    for n in range(24):
        old = alert(
            "sustained-distress" if n % 3 else "anger-surge",
            id=f"old-{n}",
            author=f"{n:032x}",
            status="resolved",
            now=now - timedelta(days=1, minutes=n),
            ends_at=now - timedelta(hours=20),
        )
        verdict = "confirmed" if n % 4 else "dismissed"
        note = {1: "called back", 4: "a song text", 7: "known to us, doing better"}.get(n)
        records += [
            of_alert(settings, old),
            of_review(settings, review(old, verdict, ("Kim", "Noor", "Alex")[n % 3], note, n)),
        ]
    return records


def of_alert(settings: Settings, one: Alert) -> tuple[str, bytes, bytes]:
    return settings.topics.alerts, one.id.encode(), to_json(one.model_dump())


def of_review(settings: Settings, one: Review) -> tuple[str, bytes, bytes]:
    return settings.topics.reviews, one.alert_id.encode(), to_json(one.model_dump())


def of_counter(settings: Settings, one: WindowCounter) -> tuple[str, bytes, bytes]:
    return settings.topics.counters, one.channel.encode(), to_json(one.model_dump())


def of_event(settings: Settings, one: dict[str, Any]) -> tuple[str, bytes, bytes]:
    return settings.topics.emotions, str(one["id"]).encode(), to_json(one)


async def write(settings: Settings, records: Iterable[tuple[str, bytes, bytes | None]]) -> None:
    """Produce records, and wait until the broker has them."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=5) as producer:
        for topic, key, value in records:
            await producer.send(topic, value, key=key)
        await producer.flush()


async def leave_waiting(settings: Settings, messages: int) -> None:
    """As if the annotators had so many messages before them."""
    topic, servers = settings.input_topic, settings.bootstrap_servers
    await write(settings, [(topic, b"key", b"{}")] * messages)
    async with AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=settings.group_id,
        enable_auto_commit=False,  # else it commits where it would begin, when it ends
    ) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))


def _windows(settings: Settings, now: datetime, draw: random.Random) -> Iterator[tuple[str, bytes, bytes]]:
    for window_s, count in ((60, 90), (300, 60), (3600, 30)):
        last = int(now.timestamp()) // window_s * window_s
        for n in range(count):
            start, total = (
                datetime.fromtimestamp(last - (count - 1 - n) * window_s, UTC),
                dict.fromkeys(LABELS, 0),
            )
            late = window_s < 3600 and last - start.timestamp() <= 300
            for place, channel in enumerate(CHANNELS):
                labels = _labels(channel, n + 7 * place, late, window_s, draw)
                total = {label: total[label] + labels[label] for label in LABELS}
                yield of_counter(settings, counter(channel, start, window_s, labels))
            yield of_counter(settings, counter(ALL_CHANNELS, start, window_s, total))


def _labels(channel: str, n: int, late: bool, window_s: int, draw: random.Random) -> dict[str, int]:
    base = {"sadness": 7, "joy": 9, "love": 4, "anger": 8, "fear": 4, "surprise": 3, "neutral": 30}
    if channel == "peer-support":
        base |= {"sadness": 22, "fear": 14, "joy": 4, "neutral": 14}
    if channel == "community":
        base |= {"joy": 20, "love": 12, "anger": 3}
    if channel == "billing" and late:
        base |= {"anger": 34}
    swing = 1 + 0.35 * math.sin(n / 9)
    return {
        label: max(0, round(draw.gauss(share * swing, 1.6) * window_s / 60)) for label, share in base.items()
    }


def _messages(
    settings: Settings, now: datetime, draw: random.Random, *, with_text: bool
) -> Iterator[tuple[str, bytes, bytes]]:
    for n in range(900):
        at = now - timedelta(seconds=(900 - n) * 2)
        label = draw.choices(LABELS, (7, 9, 4, 8, 4, 3, 30))[0]
        text = {"text": TEXTS[label]} if with_text else {}
        language = {"language": draw.choices(("en", "de", "es"), (8, 2, 1))[0]}
        yield of_event(settings, event(n, at, label, channel=draw.choice(CHANNELS), **text, **language))
    for n, score in enumerate(AUTHOR_SCORES):
        at = now - timedelta(minutes=2 * (len(AUTHOR_SCORES) - n))
        label = "sadness" if score > 0.5 else "neutral"
        yield of_event(
            settings,
            event(
                5000 + n,
                at,
                label,
                channel="peer-support",
                author=AUTHOR,
                distress={"score": score, "level": "none"},
            ),
        )


AUTHOR_SCORES: Final = (
    0.1,
    0.22,
    0.12,
    0.3,
    0.08,
    0.18,
    0.25,
    0.12,
    0.35,
    0.2,
    0.15,
    0.4,
    0.22,
    0.3,
    0.62,
    0.55,
    0.7,
    0.81,
    0.77,
    0.9,
    0.86,
)


def _alerts(now: datetime, *, with_text: bool) -> Sequence[Alert]:
    ids = tuple(f"messages-0-{5000 + n}" for n in range(len(AUTHOR_SCORES) - 5, len(AUTHOR_SCORES)))
    texts = (
        "Tried the breathing thing. It didn't help tonight.",
        "I haven't told anybody at home.",
        "Everything takes so much effort, even answering here.",
        "I cried again on the bus home.",
        "I don't know how much longer I can keep this up.",
    )
    behind = {"message_ids": ids, "texts": texts if with_text else ()}
    return (
        alert(
            "rapid-escalation",
            severity="critical",
            now=now,
            evidence=behind
            | {
                "measure": "rise of the weighted mean of the distress score",
                "score": 0.58,
                "enter": 0.45,
                "leave": 0.2,
            },
            summary="distress of one author has risen by 0.58 within 5 messages. A person must review it.",
        ),
        alert(now=now, evidence=behind),
        *_surges(now),
        alert(
            "label-drift",
            kind="drift",
            severity="info",
            id="drift:1",
            author=None,
            channel="*",
            now=now,
            recipients=("model-owners",),
            summary="the label mix of channel * has shifted: 0.27.",
            evidence={
                "score": 0.27,
                "enter": 0.25,
                "leave": 0.1,
                "measure": "population stability index of the label mix",
                "baseline": None,
                "messages": 4100,
                "span_messages": None,
            },
        ),
        alert(
            "sustained-distress",
            id="held:1",
            author="44ac" + "0" * 28,
            held=True,
            channel="community",
            now=now,
        ),
    )


def _surges(now: datetime) -> Iterator[Alert]:
    """The same rule in three channels within minutes: an outage, by the look of it."""
    last = int(now.timestamp()) // 300 * 300
    for minutes, (channel, score, usual) in enumerate(
        (("billing", 8.4, 0.12), ("support", 5.1, 0.13), ("app-reviews", 4.6, 0.12))
    ):
        yield alert(
            "anger-surge",
            kind="channel",
            id=f"anger-surge:{channel}:1",
            author=None,
            channel=channel,
            now=now,
            starts_at=now - timedelta(minutes=12 - 2 * minutes),
            recipients=("channel-owners",),
            evidence={
                "window_start": datetime.fromtimestamp(last - 300, UTC),
                "window_end": datetime.fromtimestamp(last, UTC),
                "score": score,
                "enter": 4.0,
                "leave": 2.0,
                "measure": "standard deviations above the expected count",
                "baseline": usual,
                "baseline_messages": 4200,
                "messages": 460,
                "labels": ("anger",),
                "span_messages": None,
            },
            summary=f"more anger than usual in channel {channel}: {score} deviations, {usual} is usual here. "
            "A person must review it.",
        )
