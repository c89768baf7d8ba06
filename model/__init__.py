"""The emotion classifier: texts in, labelled emotions out.

    import model

    classifier = model.EmotionClassifier.load()
    classifier.classify(["I can't believe how beautiful this day is!"])[0].label

Importing this package imports neither torch nor onnxruntime; a runtime is imported when a model is loaded.
"""

from model.calibration import Calibration
from model.classifier import EmotionClassifier
from model.contract import Distress, DistressLevel, Emotion, Encoded, Logits, Model, ModelInfo
from model.errors import CalibrationError, MissingExtraError, ModelError
from model.labels import EMOTIONS, LABELS, NEUTRAL
from model.loading import load

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
