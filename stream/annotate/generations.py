"""Models one after the other, each with the texts that were made ready for it. Pure.

    tokenize ─► newest generation ─► its batches ─► its model

Token ids mean nothing to another model, so a text stays with the model whose tokenizer read it. After an
exchange the older generation is emptied first, without waiting for full batches: in each partition all
messages before one offset bear the old revision, and all from it on the new one.
"""

from collections import deque
from dataclasses import dataclass, field

from model.contract import Model, ModelInfo
from stream.annotate.batcher import FULL, Batcher
from stream.annotate.ledger import Entry
from stream.language import LanguageGate


@dataclass(slots=True, eq=False)
class Generation:
    """A model, what it may read, and the texts that wait for it. ``reading``: its tokenizer is at work."""

    model: Model
    languages: LanguageGate
    batcher: Batcher[Entry]
    info: ModelInfo = field(init=False)
    remembered: int = field(init=False)
    """Windows that the model had remembered when it was last asked."""
    reading: bool = False

    def __post_init__(self) -> None:
        self.info = self.model.info
        self.remembered = self.model.remembered


class Generations:
    """The newest generation reads; the oldest that still has texts is next to label."""

    def __init__(self, first: Generation) -> None:
        self._generations = deque([first])

    @property
    def newest(self) -> Generation:
        return self._generations[-1]

    @property
    def oldest(self) -> Generation:
        """The first that has or may still get texts."""
        self._retire()
        return self._generations[0]

    def add(self, generation: Generation) -> None:
        """From now on texts are read by this one."""
        self._generations.append(generation)
        self._retire()

    def due_at(self) -> float | None:
        """When the next batch is to leave, as ``Batcher.due_at``: at once where a newer model waits."""
        oldest = self.oldest
        if oldest is not self.newest and len(oldest.batcher):
            return FULL
        return oldest.batcher.due_at()

    def _retire(self) -> None:
        while len(self._generations) > 1 and not (
            len(self._generations[0].batcher) or self._generations[0].reading
        ):
            self._generations.popleft()
