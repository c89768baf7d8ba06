"""The annotator's process: a stop that comes at any moment of its start ends it."""

import asyncio
import signal
from functools import partial
from typing import Any

import pytest

from stream.annotate import process
from stream.annotate.app import Annotator
from stream.lastresort import LastResort
from tests.conftest import Topics


async def test_a_signal_that_came_while_the_model_was_loaded_ends_it_though_it_is_looked_at_later(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever handles signals at that moment is called when there is an annotator already."""
    settings = await topics(model="fake")

    class LookedAtLater(Annotator):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            loop: Any = asyncio.get_running_loop()
            loop._add_callback(loop._signal_handlers[signal.SIGTERM])

    monkeypatch.setattr(process, "Annotator", LookedAtLater)
    # It would end the tests: it is there for as long as the process is.
    monkeypatch.setattr(process, "LastResort", partial(LastResort, end=lambda _: None))
    try:
        await asyncio.wait_for(process.run(settings), 30)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
