"""The model behind the box that people try: loaded at the first text, in a thread of its own."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final

from model.contract import Emotion, Model
from stream.classifier import load_classifier
from stream.dashboard.explain import explained
from stream.errors import StreamError
from stream.language import LanguageGate, identify
from stream.settings import Settings
from stream.text import text_to_read

MOST_CHARACTERS: Final = 2_000
MOST_WAITING: Final = 8


class BusyError(StreamError):
    """More texts wait than would be answered soon."""


class Labeller:
    """Labels one text at a time, beside the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labeller")
        self._model: Model | None = None
        self._waiting = 0

    async def label(self, text: str) -> dict[str, Any]:
        """What the model says of a text and which words drove it.

        Raises:
            BusyError: too many wait already.
            ModelError: the model cannot be loaded.
        """
        if self._waiting >= MOST_WAITING:
            raise BusyError("the model is busy with other texts: try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._label, text)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _label(self, text: str) -> dict[str, Any]:
        model = self._model = self._model or load_classifier(self._settings)
        read = text_to_read(text, self._settings.text_parts)

        def classify(texts: Sequence[str]) -> list[Emotion]:
            batch = model.tokenize(texts)
            return model.decide(batch, model.forward(batch))

        emotion, parts = explained(read, classify)
        language = identify(read)
        gate = LanguageGate(model.info.languages, read_all=self._settings.label_unmeasured_languages)
        return {
            **asdict(emotion),
            "language": language.tag,
            "measured": gate.readable(language, read),
            "parts": [[part.text, part.weight] for part in parts],
            "read_whole": read == text,
            "model": asdict(model.info),
        }
