"""The state of one partition on this machine: a cache of its changelog that says how far it has read.

    committed records ─► apply ─► values and proof, in one write

Every write carries, in the same atomic batch, the proof of what the values are: which changelog they were
read from, and up to which offset. So they are a replay of the changelog's beginning whatever happened to the
process, and a machine that loses its power loses the newest writes, not some of them. A store that cannot
prove itself, or whose files are damaged, is emptied and read anew from the changelog. Nothing is dropped here
that the changelog does not say to drop: expiry belongs to the fold, which writes a deletion.
"""

import contextlib
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

CLOCK_STEP_S: Final = 60.0
"""A clock that was set back by no more is not doubted."""
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
    """Keys and values of one partition. ``proof`` is None where there is none.

    Each use of it but ``clear`` and ``close`` may raise a ``BrokenStateError``.
    """

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
    if proof.read_at - now > CLOCK_STEP_S:
        return "it was read at a time that is still to come"
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


class BrokenStateError(Exception):
    """The files cannot be read or written, and were thrown away: the changelog has all that they held."""


class DiskState:
    """State in RocksDB, in a folder of its own.

    Each block of its files has a checksum, and is read only when it is asked for; so damage may show at the
    opening, or much later. Either way the files are deleted and an opening gives empty ones. What has shown
    damage while it was open stays unusable until ``clear``: it must not look like a state without keys.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db: Rdict | None = None
        self.proof: Proof | None = None
        try:
            self._db = _open(folder)
            self.proof = self._read_proof()
        except BrokenStateError:
            self._db = _open(folder)
        except Exception as error:  # rocksdict raises bare exceptions
            self._throw_away(error)
            self._db = _open(folder)

    def get(self, key: bytes) -> bytes | None:
        with self._sound() as db:
            return cast(bytes | None, db.get(key))

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._sound() as db:
            found = db.iter()
            try:
                found.seek(start)
                while found.valid():
                    if (key := found.key()) != _PROOF:
                        yield key, found.value()
                    found.next()
                found.status()  # raises where it has ended at a block that cannot be read
            finally:
                del found  # it would keep the files open

    def apply(self, changes: Iterable[Change], proof: Proof) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_PROOF, orjson.dumps(asdict(proof)))
        with self._sound() as db:
            db.write(batch)
        self.proof = proof

    def clear(self) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._db, self.proof = _open(self._folder), None

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(Exception):  # what could not be written is in the changelog
                db.close()

    @contextlib.contextmanager
    def _sound(self) -> Iterator[Rdict]:
        """The open database; whatever it raises is the end of its files."""
        if self._db is None:
            raise BrokenStateError(f"{self._folder} is closed")
        try:
            yield self._db
        except Exception as error:  # rocksdict raises bare exceptions
            self._throw_away(error)
            raise BrokenStateError(f"{self._folder} cannot be used: {error}") from None

    def _throw_away(self, error: Exception) -> None:
        _log.warning(
            "local state cannot be used; it is deleted, and read anew from the changelog",
            folder=str(self._folder),
            reason=str(error),
        )
        self.close()
        self.proof = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read_proof(self) -> Proof | None:
        with self._sound() as db:
            value = db.get(_PROOF)
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
