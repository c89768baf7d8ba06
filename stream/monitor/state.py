"""The state of one partition on this machine: a cache of its changelog that says how far it has read.

    committed records ─► apply ─► values and proof, in one write

Every write carries, in the same atomic batch, the proof of what the values are: which changelog they were
read from, and up to which offset. So they are a replay of the changelog's beginning whatever happened to the
process, and a machine that loses its power loses the newest writes, not some of them. A store that cannot
prove itself is emptied and read anew from the changelog. Nothing is dropped here that the changelog does not
say to drop: expiry belongs to the fold, which writes a deletion.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import orjson
import structlog
from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Options,
    Rdict,
    WriteBatch,
)

FORMAT: Final = 2
"""Of the files: the first were Faust's tables, with a time to live that dropped values."""

TRUSTED_S: Final = 12 * 3600.0
"""Half of Kafka's ``delete.retention.ms``, a day: a store left alone for longer may miss deletions."""

_PROOF: Final = b"\0proof"
_MIB: Final = 1024 * 1024

_log = structlog.get_logger(__name__)

Change = tuple[bytes, bytes | None]
"""(key, value): a record of the changelog; a value of None deletes the key."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the values are: the replay of ``changelog`` (Kafka's id of the topic) up to ``next_offset``.

    ``read_at`` is when that was last known to be so, in seconds since the epoch.
    """

    changelog: str
    next_offset: int
    read_at: float
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Changelog:
    """A changelog's partition as it is now: offsets of its first record and of its end.

    ``id`` is None where the broker does not give topics ids.
    """

    id: str | None
    begin: int
    end: int


class PartitionState(Protocol):
    """Keys and values of one partition. ``proof`` is None where there is none."""

    proof: Proof | None

    def get(self, key: bytes) -> bytes | None: ...

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """In the order of their keys, from ``start`` on."""
        ...

    def apply(self, changes: Iterable[Change], proof: Proof) -> None:
        """Take over what the changelog holds up to the proof's offset, all or nothing."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None: ...


def doubt(proof: Proof | None, changelog: Changelog, now: float) -> str | None:
    """Why what is stored must not be trusted; None where it is a replay of the changelog's beginning."""
    if proof is None:
        return "it holds no proof"
    if proof.format != FORMAT:
        return f"its format is {proof.format}, not {FORMAT}"
    if changelog.id is None:
        return "the broker gives topics no id to know the changelog by"
    if proof.changelog != changelog.id:
        return "it belongs to another changelog"
    if proof.next_offset > changelog.end:
        return f"it has read up to {proof.next_offset}, the changelog ends at {changelog.end}"
    if proof.next_offset < changelog.begin:
        return f"it has read up to {proof.next_offset}, the changelog begins at {changelog.begin}"
    if now - proof.read_at > TRUSTED_S:
        return "it is so old that deletions may be missing"
    return None


def resume(state: PartitionState, changelog: Changelog, now: float) -> int:
    """The offset to read the changelog from: where the state leaves off, or the beginning of it all."""
    reason = doubt(state.proof, changelog, now)
    if reason is None and state.proof is not None:
        return state.proof.next_offset
    if state.proof is not None:
        _log.info("local state is read anew from the changelog", reason=reason)
    state.clear()
    return changelog.begin


class MemoryState:
    """State in memory, gone with the process."""

    def __init__(self) -> None:
        self.proof: Proof | None = None
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(item for item in self._values.items() if item[0] >= start))

    def apply(self, changes: Iterable[Change], proof: Proof) -> None:
        for key, value in changes:
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self.proof = proof

    def clear(self) -> None:
        self._values, self.proof = {}, None

    def close(self) -> None:
        """It stays for the next assignment."""


class DiskState:
    """State in RocksDB, in a folder of its own. Files that cannot be opened are replaced by empty ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._db = _open(folder)
            self.proof = self._read_proof()
        except (
            Exception
        ) as error:  # rocksdict raises bare exceptions; whatever it is, the changelog has it all
            _log.warning("local state cannot be read; it is read anew from the changelog", reason=str(error))
            shutil.rmtree(folder, ignore_errors=True)
            self._db, self.proof = _open(folder), None

    def get(self, key: bytes) -> bytes | None:
        return cast(bytes | None, self._db.get(key))

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        found = cast(
            Iterator[tuple[bytes, bytes]], self._db.items(from_key=start) if start else self._db.items()
        )
        return (item for item in found if item[0] != _PROOF)

    def apply(self, changes: Iterable[Change], proof: Proof) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_PROOF, orjson.dumps(asdict(proof)))
        self._db.write(batch)
        self.proof = proof

    def clear(self) -> None:
        self._db.close()
        shutil.rmtree(self._folder)
        self._db, self.proof = _open(self._folder), None

    def close(self) -> None:
        self._db.close()

    def _read_proof(self) -> Proof | None:
        value = self._db.get(_PROOF)
        return None if value is None else Proof(**orjson.loads(value))


def _open(folder: Path) -> Rdict:
    folder.mkdir(parents=True, exist_ok=True)
    return Rdict(str(folder), options=_options(), access_type=AccessType.read_write())


def _options() -> Any:
    """For each partition of each table: 16 MiB of memtables and as much cache."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(8 * _MIB)
    options.set_max_write_buffer_number(2)
    options.set_target_file_size_base(16 * _MIB)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, block_based=False)
    table.set_block_cache(Cache(16 * _MIB))
    table.set_index_type(BlockBasedIndexType.binary_search())
    options.set_block_based_table_factory(table)
    return options
