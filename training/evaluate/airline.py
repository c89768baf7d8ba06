"""How a model reads tweets to airlines, a kind of text that it was never trained on.

The set has sentiments and no emotions, so what can be measured is whether they go together: a negative tweet
should be anger, sadness, fear or surprise, a positive one joy or love, a neutral one neutral, and without
distress. Its terms are not stated: it is for trials, and never trained on.

    support/airline_tweets.jsonl     {"text": ..., "label": "negative" | "neutral" | "positive"}
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.classifier import EmotionClassifier
from model.contract import Emotion
from training.data.rows import read_labelled
from training.errors import DataError

FITTING: Final = {
    "negative": frozenset({"anger", "sadness", "fear", "surprise"}),
    "neutral": frozenset({"neutral"}),
    "positive": frozenset({"joy", "love"}),
}


@dataclass(frozen=True, slots=True)
class Read:
    """How the tweets of one sentiment were read; ``fitting`` and ``alarming`` are shares of its tweets."""

    sentiment: str
    tweets: int
    fitting: float
    alarming: float
    labels: dict[str, float]


def read_airline_tweets(
    classifier: EmotionClassifier, folder: Path, *, per_sentiment: int = 1_000, seed: int = 0
) -> list[Read]:
    """Read the same random tweets of each sentiment each time. Raises ``DataError``."""
    by_sentiment: dict[str, list[str]] = {sentiment: [] for sentiment in FITTING}
    file = folder / "support" / "airline_tweets.jsonl"
    for text, sentiment in read_labelled(file):
        if sentiment not in FITTING:
            raise DataError(f"{file}: unknown label {sentiment!r}; expected {', '.join(FITTING)}")
        by_sentiment[sentiment].append(text)
    chance = random.Random(seed)
    return [
        _reading(sentiment, classifier.classify(chance.sample(texts, min(per_sentiment, len(texts)))))
        for sentiment, texts in by_sentiment.items()
        if texts
    ]


def _reading(sentiment: str, emotions: Sequence[Emotion]) -> Read:
    labels = Counter(emotion.label for emotion in emotions)
    shares = {label: count / len(emotions) for label, count in labels.most_common()}
    return Read(
        sentiment,
        len(emotions),
        fitting=sum(shares.get(label, 0.0) for label in FITTING[sentiment]),
        alarming=sum(emotion.distress.level != "none" for emotion in emotions) / len(emotions),
        labels=shares,
    )
