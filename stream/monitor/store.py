"""State in Faust's tables: what a checkpoint writes, and what a partition's new owner reads.

    counts table    ["s", partition, rule, channel]  a channel rule's state
                    ["w", partition, channel, start] a base window
                    ["c", partition]                 the checkpoint
    authors table   the author's pseudonym           what is known of the author

Each table is RocksDB (or memory) on this machine and a compacted changelog topic in Kafka. ``records``
gives those of a checkpoint; ``StateTable.apply`` puts them here once Kafka has committed them.
"""

from collections import defaultdict
from typing import Final, NamedTuple, cast

import orjson

from stream.admin import create_topics
from stream.events import ModelRef
from stream.monitor.author_rules import AuthorState
from stream.monitor.channel_rules import ChannelState
from stream.monitor.counting import Checkpoint, CountChanges, StateKey, WindowKey
from stream.monitor.driver import MonitorApp, StateTable, is_mark
from stream.monitor.fold import Window
from stream.monitor.signalling import SignalChanges
from stream.records import Record
from stream.settings import Settings
from stream.topics import DAY_MS, TopicSpec

ROCKSDB_OPTIONS: Final = {
    "write_buffer_size": 8 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 * 1024 * 1024,
    "block_cache_size": 16 * 1024 * 1024,
    "max_open_files": 256,
}
"""For each partition of each table. Faust's own defaults reserve 2 GiB of cache for each."""


class StoredCounts(NamedTuple):
    """What is stored of one partition of the counts."""

    checkpoint: Checkpoint
    windows: dict[WindowKey, Window]
    states: dict[StateKey, ChannelState]


class CountStore:
    """The state of the counts."""

    def __init__(self, app: MonitorApp, settings: Settings, partitions: int) -> None:
        self.table = _table(app, "counts", settings, partitions)

    def load(self) -> dict[int, StoredCounts]:
        """What is stored of every partition that is ours."""
        found: defaultdict[int, StoredCounts] = defaultdict(lambda: StoredCounts(Checkpoint(), {}, {}))
        for raw_key, raw_value in self.table.items():
            if is_mark(raw_key):
                continue
            kind, partition, *names = orjson.loads(raw_key)
            value = orjson.loads(raw_value)
            stored = found[partition]
            if kind == "w":
                stored.windows[names[0], names[1]] = Window.from_json(value)
            elif kind == "s":
                stored.states[names[0], names[1]] = ChannelState.from_json(value)
            else:
                found[partition] = stored._replace(checkpoint=Checkpoint(**value))
        return found

    def records(self, partition: int, changes: CountChanges, now_ms: int) -> list[Record]:
        """The changes as records of the changelog."""
        return [
            *(
                _record(_key("s", partition, rule, channel), orjson.dumps(state), now_ms)
                for (rule, channel), state in changes.states.items()
            ),
            *(
                _record(_key("w", partition, channel, start_s), orjson.dumps(window), now_ms)
                for (channel, start_s), window in changes.windows.items()
            ),
            *(
                _record(_key("w", partition, channel, start_s), None, now_ms)
                for channel, start_s in changes.expired
            ),
            _record(_key("c", partition), orjson.dumps(changes.checkpoint), now_ms),
        ]


class AuthorStore:
    """The states of the authors."""

    def __init__(self, app: MonitorApp, settings: Settings, partitions: int) -> None:
        self.table = _table(app, "authors", settings, partitions)

    def load(self, partition: int, name: str) -> AuthorState | None:
        value = self.table.read(partition, name.encode())
        return None if value is None else decode_author(value)

    def records(self, changes: SignalChanges, now_ms: int) -> list[Record]:
        """The changes as records of the changelog."""
        return [
            _record(name.encode(), None if state is None else encode_author(state), now_ms)
            for name, state in changes.states.items()
        ]


async def create_changelogs(settings: Settings, partitions: dict[str, int]) -> None:
    """Create the changelog topics that are missing: Faust would not give them the cluster's replication.

    Raises:
        BrokerError, TopicError: the cluster cannot be reached, or refuses them.
    """
    names = settings.topics
    specs = [
        TopicSpec(
            name=f"{settings.monitor_group_id}-{table}-changelog",
            purpose="state of the monitor",
            partitions=partitions[source],
            retention_ms=_retention_ms(settings),
            cleanup_policy="compact,delete",
        )
        for table, source in (("counts", names.counts), ("authors", names.signals))
    ]
    await create_topics(settings, specs)


def _retention_ms(settings: Settings) -> int:
    return int(settings.state_days * DAY_MS)


def _table(app: MonitorApp, name: str, settings: Settings, partitions: int) -> StateTable:
    retention_ms = _retention_ms(settings)
    table = app.Table(
        name,
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        options={**ROCKSDB_OPTIONS, "ttl": retention_ms // 1000}
        if settings.state_store == "rocksdb"
        else None,
    )
    return cast(StateTable, table)


def encode_author(state: AuthorState) -> bytes:
    return orjson.dumps(state, default=ModelRef.model_dump)


def decode_author(value: bytes) -> AuthorState:
    return AuthorState.from_json(orjson.loads(value))


def _key(*parts: str | int) -> bytes:
    return orjson.dumps(parts)


def _record(key: bytes, value: bytes | None, now_ms: int) -> Record:
    return Record(key, value, [], now_ms)
