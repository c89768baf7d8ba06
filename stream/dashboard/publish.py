"""Parts of the page as events for all that watch: serialised once, however many pages are open.

A reader that is slow misses versions, never the newest one; nothing queues up for it. The events are those
of the HTML standard's server-sent events.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from stream.cloudevents import to_json

MixKey = tuple[str, int | None]
"""(channel, length of its windows)"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """One version of one part, as it goes over the wire."""

    version: int
    event: bytes


class Publisher:
    """The newest frame of each part. Parts are shared; ``mix`` frames exist for what somebody watches."""

    def __init__(self) -> None:
        self.frames: dict[str, Frame] = {}
        self.mixes: dict[MixKey, Frame] = {}
        self.serialised = 0
        self._watched: Counter[MixKey] = Counter()
        self._changed = asyncio.Event()

    @property
    def readers(self) -> int:
        return self._watched.total()

    @property
    def watched(self) -> list[MixKey]:
        return list(self._watched)

    def offer(self, name: str, make: Callable[[], Any]) -> None:
        """Make a part's value; it becomes a frame where it differs from the last one."""
        if (frame := self._frame(name, make, self.frames.get(name))) is not None:
            self.frames[name] = frame

    def offer_mix(self, key: MixKey, make: Callable[[], Any]) -> None:
        """As ``offer``, for one channel."""
        if key in self._watched and (frame := self._frame("mix", make, self.mixes.get(key))) is not None:
            self.mixes[key] = frame

    @contextmanager
    def watching(self, key: MixKey) -> Iterator[None]:
        """Somebody watches a channel while the block runs."""
        self._watched[key] += 1
        try:
            yield
        finally:
            self._watched[key] -= 1
            if not self._watched[key]:
                del self._watched[key]
                self.mixes.pop(key, None)

    def news(self, key: MixKey, seen: dict[str, int]) -> bytes:
        """Events that a reader has not had yet; ``seen`` is moved on."""
        current = dict(self.frames)
        if (mix := self.mixes.get(key)) is not None:
            current["mix"] = mix
        fresh = [(name, frame) for name, frame in current.items() if seen.get(name) != frame.version]
        seen.update((name, frame.version) for name, frame in fresh)
        return b"".join(frame.event for _, frame in fresh)

    def tell(self) -> None:
        """Wake the readers."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next ``tell``."""
        await self._changed.wait()

    def _frame(self, name: str, make: Callable[[], Any], last: Frame | None) -> Frame | None:
        """A part's next frame. One part that cannot be made must not leave all pages without the others."""
        try:
            event = b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(make()))
        except Exception:
            _log.exception("a part of the page could not be made", part=name)
            return None
        if last is not None and last.event == event:
            return None
        self.serialised += 1
        return Frame(self.serialised, event)
