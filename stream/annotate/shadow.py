"""A second model that reads the same texts on the side; only metrics tell how far it disagrees.

    labelled texts ─► room? ─► [shadow thread, rests in between] ─► agreed, disagreed, by pair of labels
                       └─ no: dropped, counted

What is published never waits for it: texts are offered after they have their label, and where it is behind,
those that come are dropped. Texts are held until they are compared, and go nowhere.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from model.contract import Emotion, Encoded, Model
from stream.annotate import inference
from stream.annotate.ledger import Entry, Unread
from stream.annotate.worker import Worker
from stream.language import Language, LanguageGate
from stream.metrics import Metrics
from stream.settings import Settings

_log = structlog.get_logger(__name__)

MOST_WAITING: Final = 512
"""Texts that wait to be compared; beyond that they are dropped."""

_TEXTS = 16
"""Texts of one comparison: the model in force soon gets the processor back."""

_REST: Final = 3
"""It rests so many times as long as it works: it takes a quarter of one core at most. A low priority of its
thread would do harm: stopped by the scheduler while it holds the interpreter's lock, it would stop us all."""


class Labelled(NamedTuple):
    """A text that has its label in the stream."""

    text: str
    language: Language
    label: str


class Shadow:
    """Compares a model with the one in force."""

    def __init__(self, settings: Settings, model: Model, metrics: Metrics) -> None:
        self._model = model
        self._gate = LanguageGate(model.info.languages, read_all=settings.label_unmeasured_languages)
        self._metrics = metrics
        self._waiting: deque[Labelled] = deque()
        self._offered = asyncio.Event()
        self._exchanges = 0
        info = model.info
        metrics.shadow_info.labels(info.name, info.revision, info.device, info.precision).set(1)
        metrics.start_shadow_at_zero()

    def offer(self, entries: Sequence[Entry]) -> None:
        """Compare these, whose outcome is known, if there is room for them."""
        for entry in entries:
            outcome = entry.outcome
            if not isinstance(outcome, Emotion | Unread):
                continue
            if len(self._waiting) >= MOST_WAITING:
                self._metrics.shadow_texts.labels("dropped").inc()
                continue
            label = outcome.label if isinstance(outcome, Emotion) else outcome.value
            self._waiting.append(Labelled(entry.text, entry.language, label))
        self._offered.set()

    def start_anew(self) -> None:
        """Another model is in force: what was counted was about the one before."""
        self._exchanges += 1
        self._waiting.clear()
        self._metrics.shadow_labels.clear()
        self._metrics.shadow_texts.clear()
        self._metrics.start_shadow_at_zero()

    async def compare(self) -> None:
        """Compare what is offered, until cancelled. A model that fails is counted, and harms nobody."""
        thread = Worker("shadow")
        try:
            while True:
                await self._offered.wait()
                exchanges = self._exchanges
                texts = [self._waiting.popleft() for _ in range(min(_TEXTS, len(self._waiting)))]
                if not self._waiting:
                    self._offered.clear()
                if texts:
                    started = time.monotonic()
                    labels = await thread.run(lambda: self._labels(texts))  # noqa: B023
                    if exchanges == self._exchanges:
                        self._count(texts, labels)
                    await asyncio.sleep(_REST * (time.monotonic() - started))
        finally:
            thread.stop()

    def _labels(self, texts: Sequence[Labelled]) -> list[str | None]:
        """What the model says of each, in its thread; None where it fails."""
        try:
            readable = [self._gate.readable(one.language, one.text) for one in texts]
            tokenized = inference.tokenize(
                self._model, [one.text for one, may in zip(texts, readable, strict=True) if may]
            )
            encoded = [one for one in tokenized if isinstance(one, Encoded)]
            emotions = iter(inference.infer(self._model, encoded) if encoded else ())
        except inference.ModelBrokenError as error:
            _log.error("the shadow model fails; labels are those of the model in force", reason=str(error))
            return [None] * len(texts)
        outcomes = iter([next(emotions) if isinstance(one, Encoded) else one for one in tokenized])
        labels: list[str | None] = []
        for may in readable:
            outcome = next(outcomes) if may else Unread.UNKNOWN
            if isinstance(outcome, Emotion):
                labels.append(outcome.label)
            else:
                labels.append(outcome.value if isinstance(outcome, Unread) else None)
        return labels

    def _count(self, texts: Sequence[Labelled], labels: Sequence[str | None]) -> None:
        for one, label in zip(texts, labels, strict=True):
            if label is None:
                self._metrics.shadow_texts.labels("failed").inc()
                continue
            self._metrics.shadow_texts.labels("agreed" if label == one.label else "disagreed").inc()
            self._metrics.shadow_labels.labels(one.label, label).inc()
