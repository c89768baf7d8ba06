"""What stands beside a committed offset, as its metadata: which topic it belongs to, and who set it. Pure.

epoch=v1AbcDEFGhi by=emotion-stream:member-7f3a:4:0
"""

from dataclasses import dataclass
from typing import Final

_EPOCH: Final = "epoch="
_OWNER: Final = "by="


@dataclass(frozen=True, slots=True)
class Note:
    """``epoch`` is Kafka's id of the topic; ``owner`` the transactional id of whoever has the partition.

    None where a broker gives topics no id, and where nothing is published in transactions.
    """

    epoch: str | None = None
    owner: str | None = None

    def __str__(self) -> str:
        told = ((_EPOCH, self.epoch), (_OWNER, self.owner))
        return " ".join(f"{name}{value}" for name, value in told if value)

    @classmethod
    def parse(cls, text: str) -> "Note":
        """The note that was written so; of other metadata, an empty one."""
        # The owner comes last, since a group may have spaces in its name.
        rest, _, owner = text.partition(_OWNER)
        epoch = rest.strip().removeprefix(_EPOCH) if rest.startswith(_EPOCH) else ""
        return cls(epoch or None, owner or None)
