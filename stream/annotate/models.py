"""The model in force, and its exchange for another while messages flow.

SIGHUP, or the link that ``model`` names points elsewhere (``emotion-stream model use``)
    ─► load beside the old one ─► check and warm up ─► in force from the next text on
                                           └─► refused: logged and counted; the old one goes on
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from model.contract import Model
from model.errors import ModelError
from stream.annotate import inference
from stream.annotate.worker import Worker
from stream.classifier import load_classifier, model_folder
from stream.errors import StreamError
from stream.metrics import Metrics
from stream.settings import Settings

_log = structlog.get_logger(__name__)

_LOOK_S = 0.5


def ready_model(settings: Settings) -> Model:
    """The model of the settings: checked, warm, and it has labelled a text. Takes seconds.

    Raises:
        ModelError, ModelBrokenError: it cannot be used; one line that says why.
    """
    folder = model_folder(settings.model)
    # Resolved once, so that a link that is turned meanwhile does not mix the files of two folders.
    model = load_classifier(
        settings if folder is None else settings.model_copy(update={"model": str(folder)})
    )
    inference.prove(model)
    model.warm_up()
    return model


def ready_shadow(settings: Settings) -> Model | None:
    """The shadow model, if there is to be one: on one thread, so that it takes little from the other.

    Raises:
        ModelError, ModelBrokenError: it cannot be used; one line that says why.
    """
    if settings.shadow is None:
        return None
    return ready_model(settings.model_copy(update={"model": settings.shadow, "threads": 1}))


class Models:
    """Holds the model in force; ``follow`` exchanges it."""

    def __init__(self, settings: Settings, model: Model, metrics: Metrics) -> None:
        self.current = model
        self._settings = settings
        self._metrics = metrics
        self._folder = model_folder(settings.model)
        self._asked = asyncio.Event()
        self._show()

    def reload(self) -> None:
        """Load the folder that the settings name anew, also where it is still the same one."""
        self._asked.set()

    async def follow(self, use: Callable[[Model], None]) -> None:
        """Exchange the model whenever it is asked for; ``use`` is told of the new one. Until cancelled."""
        thread = Worker("load")
        try:
            while True:
                await self._until_asked()
                self._folder = model_folder(self._settings.model)
                model = await self._loaded(thread)
                if model is not None:
                    self.current = model
                    self._show()
                    use(model)
                    del model  # the next exchange must not find three of them in memory
        finally:
            thread.stop()

    async def _until_asked(self) -> None:
        while not self._asked.is_set() and self._folder == model_folder(self._settings.model):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_S)
        self._asked.clear()

    async def _loaded(self, thread: Worker) -> Model | None:
        """The model that is to take over; None where it is refused or the one in force."""
        old = self.current.info
        try:
            model = await thread.run(lambda: ready_model(self._settings))
        except (ModelError, StreamError) as error:
            self._refuse(str(error))
            return None
        except Exception as error:  # of a library: its words could quote anything
            self._refuse(f"loading it raised {type(error).__name__}")
            return None
        self._metrics.model_refused.set(0)
        if model.info == old:
            self._metrics.model_swaps.labels("unchanged").inc()
            _log.info("the model is the one in force already", name=old.name, revision=old.revision)
            return None
        self._metrics.model_swaps.labels("swapped").inc()
        _log.info(
            "model exchanged",
            name=model.info.name,
            revision=model.info.revision,
            verified=model.info.verified,
            before=f"{old.name} {old.revision}",
        )
        return model

    def _refuse(self, reason: str) -> None:
        self._metrics.model_swaps.labels("refused").inc()
        self._metrics.model_refused.set(1)
        _log.error(
            "model refused: the one before goes on", reason=reason, revision=self.current.info.revision
        )

    def _show(self) -> None:
        info = self.current.info
        self._metrics.model_info.clear()
        self._metrics.model_info.labels(info.name, info.revision, info.device, info.precision).set(1)
