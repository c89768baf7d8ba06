"""A peer's runtime behind this project's tokenizer, so that engines are compared and not tokenizers."""

from pathlib import Path
from typing import Final

from model.classifier import EmotionClassifier
from model.folder import ModelFolder
from model.runtimes import Runtime
from model.tokenizer import Tokenizer
from stream.bench.engines import labeller
from stream.bench.process import Labeller

BATCH_TOKENS: Final = 512
"""Of a batch sorted by length, padding included: as many as keep a peer's threads busy."""


def with_runtime(folder: str, runtime: Runtime) -> Labeller:
    """The classifier of ``folder`` on ``runtime``."""
    opened = ModelFolder.open(Path(folder))
    tokenizer = Tokenizer.load(opened.path, max_tokens=opened.max_tokens, overlap_tokens=64)
    return labeller(EmotionClassifier(opened, tokenizer, runtime, remember=0))
