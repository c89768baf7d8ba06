"""The models that the settings name: the stream's one door to ``model.loading``."""

import os
from pathlib import Path

from model.contract import Model
from model.loading import BUILT_IN, DEFAULT, check, load
from stream.settings import AnnotateSettings

__all__ = ["BUILT_IN", "DEFAULT", "check_models", "load_classifier", "model_folder"]


def load_classifier(settings: AnnotateSettings) -> Model:
    """The model of the settings, not yet warm.

    Raises:
        ModelError: it cannot be loaded; one line that says what to do.
    """
    return load(
        settings.model,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        remember=settings.remember_texts,
    )


def model_folder(spec: str | None) -> Path | None:
    """The folder that ``model`` or ``shadow`` names, behind all links; None for shipped weights and fakes."""
    if spec is None or spec.partition("?")[0] in BUILT_IN:
        return None
    return Path(os.path.realpath(spec))  # Path.resolve raises where links name each other


def check_models(settings: AnnotateSettings) -> None:
    """Look at the files of the model and of its shadow, and load neither: for who starts others that do.

    Raises:
        ModelError: one of them cannot be loaded; in the words of ``load_classifier``.
    """
    for spec in (settings.model, settings.shadow or "null"):
        folder = model_folder(spec)
        check(spec if folder is None else str(folder), precision=settings.precision)
