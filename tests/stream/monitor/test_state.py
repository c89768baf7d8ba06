"""Local state equals a replay of its changelog, whatever happens to process, machine, files and topic."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rocksdict import AccessType, Options, Rdict

from stream.monitor.owned import discard_old_files
from stream.monitor.state import (
    TRUSTED_S,
    BrokenStateError,
    Change,
    Changelog,
    DiskState,
    MemoryState,
    Proof,
    doubt,
    resume,
)
from stream.settings import Settings

KEYS = [f"author-{n}".encode() for n in range(6)]


class Topic:
    """A compacted changelog: records keep their offsets, superseded ones go, deletions go after a day."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.records: dict[int, tuple[Change, float]] = {}
        self.begin = 0
        self.end = 0

    def append(self, changes: list[Change], now: float) -> None:
        for change in changes:
            self.records[self.end] = change, now
            self.end += 1
        self.end += 1  # the transaction's marker takes an offset, too

    def compact(self, now: float) -> None:
        newest = {change[0]: offset for offset, (change, _) in self.records.items()}
        self.records = {
            offset: (change, at)
            for offset, (change, at) in self.records.items()
            if newest[change[0]] == offset and not (change[1] is None and now - at > 24 * 3600)
        }

    def read(self, start: int) -> list[Change]:
        return [change for offset, (change, _) in sorted(self.records.items()) if offset >= start]

    def replay(self) -> dict[bytes, bytes]:
        found = MemoryState()
        found.apply(self.read(0), Proof(self.id, self.end, 0.0))
        return dict(found.items())

    @property
    def now(self) -> Changelog:
        return Changelog(self.id, self.begin, self.end)


class StateMachine(RuleBasedStateMachine):
    """A monitor that writes checkpoints, and everything that may come in between."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.copies = 0
        self.clock = 1_000_000.0
        self.topic = Topic("topic-0")
        self.folder = self.root / "state"
        self.state = DiskState(self.folder)
        self._recover()

    @rule(
        changes=st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=40)), max_size=8),
        reaches_the_store=st.booleans(),
    )
    def checkpoint(self, changes: list[Change], reaches_the_store: bool) -> None:
        self.topic.append(changes, self.clock)
        if reaches_the_store:
            self.state.apply(changes, Proof(self.topic.id, self.topic.end, self.clock))
        else:  # the process ends between the commit in Kafka and the write
            self._crash(0)

    @rule()
    def close_and_open(self) -> None:
        self.state.close()
        self.state = DiskState(self.folder)
        self._recover()

    @rule(torn_bytes=st.sampled_from([0, 0, 1, 7, 100]))
    def crash(self, torn_bytes: int) -> None:
        self._crash(torn_bytes)

    @rule()
    def compact_the_store(self) -> None:
        self.state._db.flush()
        self.state._db.compact_range(None, None)

    @rule()
    def compact_the_changelog(self) -> None:
        self.topic.compact(self.clock)

    @rule(hours=st.sampled_from([1, 13, 30]))
    def time_passes_elsewhere(self, hours: int) -> None:
        """Another monitor holds the partition meanwhile, and writes to it."""
        self.topic.append([(KEYS[0], None), (KEYS[1], b"elsewhere")], self.clock)
        self.clock += hours * 3600
        self.topic.compact(self.clock)
        self._recover()

    @rule()
    def the_changelog_is_made_anew(self) -> None:
        self.topic = Topic(f"{self.topic.id}+")
        self._recover()

    @invariant()
    def the_store_is_a_replay_of_the_changelog(self) -> None:
        if hasattr(self, "state"):
            assert dict(self.state.items()) == self.topic.replay()
            assert all(self.state.get(key) == self.topic.replay().get(key) for key in KEYS)

    def _crash(self, torn_bytes: int) -> None:
        """What a killed process leaves; without power, the end of what was written last is missing."""
        self.copies += 1
        copy = self.root / f"copy-{self.copies}"
        _copy(self.folder, copy)
        self.state.close()
        logs = sorted(copy.glob("*.log"), key=lambda path: path.name)
        if torn_bytes and logs:
            kept = max(0, logs[-1].stat().st_size - torn_bytes)
            with logs[-1].open("r+b") as log:
                log.truncate(kept)
        self.folder = copy
        self.state = DiskState(copy)
        self._recover()

    def _recover(self) -> None:
        start = resume(self.state, self.topic.now, self.clock)
        self.state.apply(self.topic.read(start), Proof(self.topic.id, self.topic.end, self.clock))

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.close()
            shutil.rmtree(self.root)


def _copy(folder: Path, copy: Path) -> None:
    """The files at one moment: RocksDB may delete some while they are copied."""
    while True:
        try:
            shutil.copytree(folder, copy)
            return
        except shutil.Error:
            shutil.rmtree(copy)


TestStateMachine = StateMachine.TestCase
TestStateMachine.settings = hypothesis_settings(
    max_examples=10,
    stateful_step_count=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink an example would take minutes
    suppress_health_check=[HealthCheck.too_slow],
)


def test_values_live_until_the_changelog_deletes_them_however_often_the_store_is_opened(
    tmp_path: Path,
) -> None:
    """With a time to live, each opening wrapped one more of them round the last, and values were dropped."""
    for opening in range(7):
        state = DiskState(tmp_path / "state")
        keys = [f"{opening}-{n}".encode() for n in range(100)]
        state.apply([(key, b"value") for key in keys], Proof("topic", opening, 0.0))
        state._db.flush()
        state._db.compact_range(None, None)
        assert len(list(state.items())) == 100 * (opening + 1)
        state.close()


def test_files_that_are_no_store_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    state = DiskState(folder)
    state.apply([(b"k", b"v")], Proof("topic", 1, 0.0))
    state.close()
    (folder / "CURRENT").write_text("nonsense\n")
    state = DiskState(folder)
    assert state.proof is None
    assert list(state.items()) == []
    state.close()


AUTHORS = [f"author-{n:04}".encode() for n in range(400)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A closed store whose one table has many blocks."""
    folder = tmp_path / "state"
    state = DiskState(folder)
    state.apply([(key, os.urandom(200)) for key in AUTHORS], Proof("topic", 1, 0.0))
    state._db.flush()
    state._db.compact_range(None, None)
    state.close()
    return folder


def damage(folder: Path, pattern: str, place: float) -> None:
    """Invert some bytes of a file: at a fraction of its length, or so many bytes before its end."""
    (path,) = folder.glob(pattern)
    content = bytearray(path.read_bytes())
    begin = int(len(content) * place) if place >= 0 else len(content) + int(place)
    for at in range(begin, min(len(content), begin + 16)):
        content[at] ^= 0xFF
    path.write_bytes(content)


DAMAGE_SEEN_AT_OPENING = {
    "the first block": ("*.sst", 0.0),
    "the table's properties": ("*.sst", -1200),
    "the table's footer": ("*.sst", -53),
    "the manifest": ("MANIFEST-*", 0.5),
    "the pointer to the manifest": ("CURRENT", 0.0),
}


@pytest.mark.parametrize("place", DAMAGE_SEEN_AT_OPENING)
def test_damage_that_the_opening_sees_leaves_an_empty_store(filled: Path, place: str) -> None:
    damage(filled, *DAMAGE_SEEN_AT_OPENING[place])
    state = DiskState(filled)
    assert resume(state, Changelog("topic", 0, 9), 0.0) == 0
    assert list(state.items()) == []
    state.close()


def get_all(state: DiskState) -> None:
    for key in AUTHORS:
        state.get(key)


def read_through(state: DiskState) -> None:
    list(state.items())


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("use", [get_all, read_through])
def test_damage_that_only_a_read_sees_throws_the_store_away(
    filled: Path, place: float, use: Callable[[DiskState], None]
) -> None:
    damage(filled, "*.sst", place)
    state = DiskState(filled)
    assert state.proof is not None
    with pytest.raises(BrokenStateError, match="checksum"):
        use(state)
    with pytest.raises(BrokenStateError):  # until it is opened anew, it must not look empty
        state.get(AUTHORS[0])
    state.close()
    state = DiskState(filled)
    assert (state.proof, list(state.items())) == (None, [])
    state.apply([(b"k", b"v")], PROOF)
    assert state.get(b"k") == b"v"
    state.close()


def test_a_store_of_an_older_format_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    old = Rdict(str(folder), options=options, access_type=AccessType.with_ttl(3600))
    old[b"author"] = b"value"
    old.close()
    state = DiskState(folder)
    assert resume(state, Changelog("topic", 0, 9), 0.0) == 0
    assert list(state.items()) == []
    state.close()


PROOF = Proof("topic", 10, 1000.0)


@pytest.mark.parametrize(
    ("changelog", "now"),
    [
        (Changelog("another", 0, 20), 1000.0),
        (Changelog(None, 0, 20), 1000.0),
        (Changelog("topic", 0, 9), 1000.0),
        (Changelog("topic", 11, 20), 1000.0),
        (Changelog("topic", 0, 20), 1001.0 + TRUSTED_S),
        (Changelog("topic", 0, 20), 900.0),
    ],
)
def test_what_cannot_prove_itself_is_doubted(changelog: Changelog, now: float) -> None:
    assert doubt(PROOF, changelog, now) is not None


def test_what_proves_itself_is_read_on_from() -> None:
    state = MemoryState()
    state.apply([(b"k", b"v")], PROOF)
    assert resume(state, Changelog("topic", 3, 20), 1000.0) == 10
    assert state.get(b"k") == b"v"


def test_tables_of_version_0_1_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    table = tmp_path / "v1" / "tables" / "authors-0.db"
    table.mkdir(parents=True)
    kept = [tmp_path / "emotion-monitor-authors-changelog" / "0", tmp_path / "vip" / "tables" / "people.db"]
    for folder in kept:
        folder.mkdir(parents=True)
    discard_old_files(Settings(state_dir=tmp_path))
    assert not table.exists()
    assert all(folder.exists() for folder in kept)
