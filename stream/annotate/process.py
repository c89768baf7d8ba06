"""The annotator's process: its model, its signals, and whoever watches over it."""

import asyncio
import gc
import os
import sys

import structlog

from model.contract import Model
from stream.annotate.app import Annotator
from stream.annotate.models import ready_model, ready_shadow
from stream.classifier import DEFAULT
from stream.kafka import connection
from stream.lastresort import LastResort, stop_limit_s
from stream.reloading import on_reload
from stream.settings import Settings
from stream.stopping import on_stop

_log = structlog.get_logger(__name__)

_GARBAGE_THRESHOLD = 200_000
"""Objects made before the collector looks for cycles. Thousands of messages are in flight and none of them is
garbage: with the interpreter's 700 the looking is a tenth of all processor time but the model's.
"""


def _hear_parent(loop: asyncio.AbstractEventLoop, annotator: Annotator) -> None:
    if os.read(sys.stdin.fileno(), 4096):
        annotator.reload_model()
        return
    loop.remove_reader(sys.stdin.fileno())
    _log.warning("whoever watched over this worker has gone: it ends too")
    annotator.stop()


def _described(model: Model) -> dict[str, object]:
    info = model.info
    return {
        "name": info.name,
        "revision": info.revision,
        "device": info.device,
        "precision": info.precision,
        "verified": info.verified,
    }


async def run(settings: Settings, *, supervised: bool = False) -> None:
    """The process: load and warm the model, label until SIGTERM or SIGINT, then drain.

    Either of them while the model is loaded ends it as soon as that is done: nothing is in work yet.
    SIGHUP loads the model anew and exchanges it while messages flow; until there is one, it waits.
    ``supervised``: anything on standard input asks for the same, and its end is the end of whoever watches
    over it, and stops it too.
    """
    gc.set_threshold(_GARBAGE_THRESHOLD)
    connection(settings)  # a cluster that is not named is better said before the model is loaded
    stopped, last_resort = asyncio.Event(), LastResort(stop_limit_s(settings.revoke_timeout_s))
    annotator: Annotator | None = None

    def stop() -> None:
        # One for the whole of it: a signal may come before there is an annotator, and be looked at after.
        stopped.set()
        last_resort.begin()
        if annotator is not None:
            annotator.stop()

    on_stop(stop)
    _log.info("loading model", model=settings.model or DEFAULT)
    model = await asyncio.to_thread(ready_model, settings)
    _log.info("model loaded", **_described(model))
    shadow = await asyncio.to_thread(ready_shadow, settings)
    if shadow is not None:
        _log.info("shadow model loaded", **_described(shadow))
    if stopped.is_set():
        _log.info("stopped before it joined its group")
        return
    annotator = Annotator(settings, model, shadow=shadow, last_resort=last_resort)
    del model, shadow  # what is exchanged is to be forgotten
    loop = asyncio.get_running_loop()
    on_reload(annotator.reload_model)
    if supervised:
        loop.add_reader(sys.stdin.fileno(), _hear_parent, loop, annotator)
    await annotator.run()
