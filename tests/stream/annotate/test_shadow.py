"""A shadow model is compared with the one in force, and changes nothing of what is published."""

import asyncio
import threading
from typing import Any

import orjson
import pytest

from model.contract import Encoded, Logits
from model.fake import FakeClassifier
from stream.annotate.app import Annotator
from stream.annotate.ledger import Entry, Unread
from stream.annotate.shadow import MOST_WAITING, Shadow
from stream.events import EmotionEvent
from stream.language import Language
from stream.metrics import Metrics
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import produce, read_committed_until

SETTINGS = Settings(bootstrap_servers="none:1", model="fake")


class Contrary(FakeClassifier):
    """Says fear of everything that names joy."""

    def tokenize(self, texts: Any) -> list[Encoded]:
        return super().tokenize([text.replace("joy", "fear") for text in texts])


class Stuck(FakeClassifier):
    """Labels nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def forward(self, batch: Any) -> Logits:
        self.go.wait()
        return super().forward(batch)


def results(metrics: Metrics) -> dict[str, int]:
    value = metrics.registry.get_sample_value
    kinds = ("agreed", "disagreed", "failed", "dropped")
    found = {kind: value("emotion_shadow_texts_total", {"result": kind}) or 0 for kind in kinds}
    return {kind: int(count) for kind, count in found.items() if count}


def labelled(*texts: str) -> list[Entry]:
    model = FakeClassifier()
    encoded = model.tokenize(texts)
    return [
        Entry(0, 0, None, b"", (), 0.0, text=text, outcome=emotion)
        for text, emotion in zip(texts, model.decide(encoded, model.forward(encoded)), strict=True)
    ]


async def compared(shadow: Shadow, metrics: Metrics, count: int) -> dict[str, int]:
    task = asyncio.create_task(shadow.compare())
    async with asyncio.timeout(20):
        while sum(results(metrics).values()) < count:  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)
    task.cancel()
    return results(metrics)


async def test_disagreement_is_counted_and_the_published_labels_are_the_first_model_s(topics: Topics) -> None:
    settings = await topics(partitions=2)
    texts = [*["joy: secret words"] * 20, *["anger: secret words"] * 30]
    values = [orjson.dumps({"text": text}) for text in texts]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    annotator = Annotator(settings, FakeClassifier(), shadow=Contrary())
    running = asyncio.create_task(annotator.run())
    async with asyncio.timeout(30):
        while sum(results(annotator.metrics).values()) < len(texts):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    records = await read_committed_until(
        str(settings.bootstrap_servers), settings.topics.emotions, len(texts)
    )
    annotator.stop()
    await running

    assert results(annotator.metrics) == {"agreed": 30, "disagreed": 20}
    pair = {"label": "joy", "shadow_label": "fear"}
    assert annotator.metrics.registry.get_sample_value("emotion_shadow_labels_total", pair) == 20
    events = [EmotionEvent.model_validate_json(record.value or b"") for record in records]
    assert sorted(event.label for event in events) == ["anger"] * 30 + ["joy"] * 20


async def test_what_it_cannot_follow_is_dropped_and_counted() -> None:
    metrics, model = Metrics(), Stuck()
    shadow = Shadow(SETTINGS, model, metrics)
    shadow.offer(labelled(*["joy"] * (MOST_WAITING + 7)))
    assert results(metrics) == {"dropped": 7}
    model.go.set()
    found = await compared(shadow, metrics, MOST_WAITING + 7)
    assert found == {"agreed": MOST_WAITING, "dropped": 7}


async def test_a_language_that_one_of_the_models_was_not_measured_in_is_a_disagreement() -> None:
    metrics = Metrics()
    shadow = Shadow(SETTINGS, FakeClassifier(), metrics)
    foreign = Entry(
        0, 0, None, b"", (), 0.0, text="joy", language=Language("sw", 1.0), outcome=Unread.UNKNOWN
    )
    shadow.offer([foreign])
    assert await compared(shadow, metrics, 1) == {"disagreed": 1}
    pair = {"label": "unknown", "shadow_label": "joy"}
    assert metrics.registry.get_sample_value("emotion_shadow_labels_total", pair) == 1


@pytest.mark.parametrize(("bad", "found"), [(["poison"], {"agreed": 2, "failed": 1}), (["e"], {"failed": 3})])
async def test_texts_that_it_fails_on_are_counted_and_do_no_harm(
    bad: list[str], found: dict[str, int]
) -> None:
    metrics = Metrics()
    shadow = Shadow(SETTINGS, FakeClassifier(fail_on=bad), metrics)
    shadow.offer(labelled("joy here", "joy: poison here", "anger here"))
    assert await compared(shadow, metrics, 3) == found


async def test_after_an_exchange_the_comparison_starts_anew() -> None:
    metrics = Metrics()
    shadow = Shadow(SETTINGS, Contrary(), metrics)
    shadow.offer(labelled("joy"))
    await compared(shadow, metrics, 1)
    shadow.offer(labelled("joy"))
    shadow.start_anew()
    assert results(metrics) == {}
    shadow.offer(labelled("anger"))
    assert await compared(shadow, metrics, 1) == {"agreed": 1}
