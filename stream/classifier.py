"""The model that the settings name: the stream's one door to ``model.loading``."""

from model.contract import Model
from model.loading import BUILT_IN, load
from stream.settings import AnnotateSettings

__all__ = ["BUILT_IN", "load_classifier"]


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
