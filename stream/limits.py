"""How much each output topic takes at once. Pure.

The broker's limit (``max.message.bytes``) is on a batch, so it binds a single record as well. It is asked for
at the start; where it is not told, or is lowered while we run, a refusal teaches it.
"""

from collections.abc import Mapping
from typing import Final

from stream.topics import KAFKA_MAX_MESSAGE_BYTES

SMALLEST_BYTES: Final = 16_384
"""A topic that takes less than this has no room for an outcome that is cut as short as it may be."""


class OutputLimits:
    """Most bytes of a batch, by output topic."""

    def __init__(
        self, told: Mapping[str, int] | None = None, *, assumed: int = KAFKA_MAX_MESSAGE_BYTES
    ) -> None:
        self._by_topic = dict(told or {})
        self._assumed = assumed

    def of(self, topic: str) -> int:
        return self._by_topic.get(topic, self._assumed)

    def lower(self, topic: str, refused_bytes: int) -> bool:
        """The topic refused a batch of this size: from now on half of it; False where that is too little."""
        lowered = min(self.of(topic), refused_bytes) // 2
        if lowered < SMALLEST_BYTES:
            return False
        self._by_topic[topic] = lowered
        return True
