"""The emotion classifier: texts in, labelled emotions out.

    import model

    classifier = model.EmotionClassifier.load()
    classifier.classify(["I can't believe how beautiful this day is!"])[0].label

Importing this package imports no runtime and no tokenizer: whoever needs only the labels does not pay for
them. ``EmotionClassifier`` is imported on first use, a runtime when a model is loaded.
"""

import os
from typing import TYPE_CHECKING, Any

# Official builds of onnxruntime send events about their use to their maker (its Privacy.md). Who labels
# messages here has not agreed to that; it can be told only before that package is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from model.calibration import Calibration
from model.contract import Distress, DistressLevel, Emotion, Encoded, Logits, Model, ModelInfo
from model.errors import CalibrationError, MissingExtraError, ModelError
from model.labels import EMOTIONS, LABELS, NEUTRAL
from model.loading import load

if TYPE_CHECKING:
    from model.classifier import EmotionClassifier

__all__ = [
    "EMOTIONS",
    "LABELS",
    "NEUTRAL",
    "Calibration",
    "CalibrationError",
    "Distress",
    "DistressLevel",
    "Emotion",
    "EmotionClassifier",
    "Encoded",
    "Logits",
    "MissingExtraError",
    "Model",
    "ModelError",
    "ModelInfo",
    "load",
]


def __getattr__(name: str) -> Any:
    if name == "EmotionClassifier":
        from model.classifier import EmotionClassifier

        return EmotionClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
