"""What a checkpoint writes of the state, and what a partition's new owner reads of it. Pure.

    counts   ["s", partition, rule, channel]  a channel rule's state
             ["w", partition, channel, start] a base window
             ["c", partition]                 the checkpoint
    authors  the author's pseudonym           what is known of the author
             \\0clock                          the event time that authors expire by
             \\0forgetting:PSEUDONYM           an author whose alerts are being deleted

Each is a compacted changelog in Kafka, a partition for each partition of its source, with a copy on this
machine (``stream.monitor.state``).
"""

from dataclasses import asdict
from itertools import takewhile
from typing import Final, NamedTuple

import orjson

from stream.events import ModelRef
from stream.monitor.author_rules import AuthorState
from stream.monitor.channel_rules import ChannelState
from stream.monitor.channel_states import StateKey
from stream.monitor.count_changes import Checkpoint, CountChanges, WindowKey
from stream.monitor.fold import Window
from stream.monitor.signalling import Clock, SignalChanges
from stream.monitor.state import PartitionState
from stream.records import Record

OWN: Final = "\0"
"""How keys begin that are no author's, here and in the copy on this machine."""

CLOCK: Final = f"{OWN}clock".encode()
_FORGETTING: Final = f"{OWN}forgetting:".encode()
_LOOKED_FOR: Final = b'{"at":0.0}'
"""To a release that knows no such key it is an author of long ago, whom it deletes."""
_MARK: Final = b"~mark~"
"""Version 0.1 ended a changelog with marks of this kind; they mean nothing now."""

SWEEP: Final = 256
"""Authors that are looked at in one step of a sweep."""


class StoredCounts(NamedTuple):
    """What is stored of one partition of the counts."""

    checkpoint: Checkpoint
    windows: dict[WindowKey, Window]
    states: dict[StateKey, ChannelState]


def load_counts(state: PartitionState) -> StoredCounts:
    """All that is known of a partition of the counts."""
    found = StoredCounts(Checkpoint(), {}, {})
    for raw_key, raw_value in state.items():
        if raw_key.startswith(_MARK):
            continue
        kind, _, *names = orjson.loads(raw_key)
        value = orjson.loads(raw_value)
        if kind == "w":
            found.windows[names[0], names[1]] = Window.from_json(value)
        elif kind == "s":
            found.states[names[0], names[1]] = ChannelState.from_json(value)
        else:
            found = found._replace(checkpoint=Checkpoint.from_json(value))
    return found


def count_records(partition: int, changes: CountChanges, now_ms: int) -> list[Record]:
    """The changes as records of the changelog."""
    return [
        *(
            _record(
                _key("s", partition, rule, channel), None if state is None else orjson.dumps(state), now_ms
            )
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


def load_author(state: PartitionState, name: str) -> AuthorState | None:
    """What is known of an author."""
    value = state.get(name.encode())
    return None if value is None else decode_author(value)


def load_clock(state: PartitionState) -> Clock:
    """The event time of a partition of the signals, as it was last stored."""
    value = state.get(CLOCK)
    return Clock() if value is None else Clock(**orjson.loads(value))


def load_forgetting(state: PartitionState) -> list[str]:
    """The authors whose alerts are being deleted."""
    keys = takewhile(lambda key: key.startswith(_FORGETTING), (key for key, _ in state.items(_FORGETTING)))
    return [key.removeprefix(_FORGETTING).decode() for key in keys]


def names_from(state: PartitionState, after: str) -> list[tuple[str, float]]:
    """Some authors that follow ``after``, each with the time of their last message; none at the end."""
    found: list[tuple[str, float]] = []
    for key, value in state.items(after.encode() + b"\0"):
        if key.startswith((OWN.encode(), _MARK)):
            continue
        found.append((key.decode(), float(orjson.loads(value)["at"])))
        if len(found) == SWEEP:
            break
    return found


def signal_records(changes: SignalChanges, now_ms: int) -> list[Record]:
    """The changes as records of the changelog."""
    records = [
        _record(name.encode(), None if state is None else encode_author(state), now_ms)
        for name, state in changes.states.items()
    ]
    records += (
        _record(_FORGETTING + name.encode(), _LOOKED_FOR if looked_for else None, now_ms)
        for name, looked_for in changes.forgetting.items()
    )
    if changes.clock is not None:
        records.append(_record(CLOCK, orjson.dumps(asdict(changes.clock)), now_ms))
    return records


def encode_author(state: AuthorState) -> bytes:
    return orjson.dumps(state, default=ModelRef.model_dump)


def decode_author(value: bytes) -> AuthorState:
    return AuthorState.from_json(orjson.loads(value))


def _key(*parts: str | int) -> bytes:
    return orjson.dumps(parts)


def _record(key: bytes, value: bytes | None, now_ms: int) -> Record:
    return Record(key, value, [], now_ms)
