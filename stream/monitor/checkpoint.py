"""The checkpoint: what people see, what the next owner needs, and how far we are, in one transaction.

A checkpoint of a partition holds its counters and alerts, the state in the table's changelog, and the offset
of the records behind all that. Either all of it is there for readers of committed data, or nothing is, and
the records come again. A monitor whose partition has moved is fenced, however late it finds out.
"""

import asyncio
import time
from asyncio import CancelledError
from typing import Final

import structlog
from faust.types import TP

from stream.cloudevents import CloudEventHeaders, to_json
from stream.monitor.changelogs import changelog_of
from stream.monitor.count_changes import CountChanges
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.owned import OwnedPartitions
from stream.monitor.partitions import Partitions
from stream.monitor.signalling import SignalChanges
from stream.monitor.state import BrokenStateError
from stream.monitor.store import count_records, signal_records
from stream.outages import passes
from stream.records import Output, Record
from stream.settings import Settings
from stream.topics import partition_of
from stream.transactions import FencedError

FENCED_S: Final = 5.0
"""A partition that is still ours so long after we were fenced is ours again: the one who did it is gone."""

_log = structlog.get_logger(__name__)


class Checkpointer:
    """Makes checkpoints of all partitions, one at a time. ``sizes``: partitions of each topic.

    ``committed`` holds the offset that each partition goes on from.
    """

    def __init__(
        self, settings: Settings, sizes: dict[str, int], partitions: Partitions, owned: OwnedPartitions
    ) -> None:
        self._topics = settings.topics
        self._sizes = sizes
        self._partitions = partitions
        self._owned = owned
        self._lock = asyncio.Lock()
        self._changelogs = {
            name: changelog_of(settings, name) for name in (settings.topics.counts, settings.topics.signals)
        }
        self.committed: dict[TP, int] = {}
        source = f"emotion-stream/{settings.monitor_group_id}"
        self._counter_headers = CloudEventHeaders("WindowCounter", source)
        self._alert_headers = CloudEventHeaders("Alert", source)

    async def write(self) -> bool:
        """One checkpoint of everything that has changed; whether all that we hold is still ours.

        Raises:
            RefusedError, PublishError: the cluster refuses for good what we write.
        """
        async with self._lock:
            began = time.monotonic()
            writes = [self._write_counts(number) for number in self._partitions.counts]
            writes += [self._write_signals(number) for number in self._partitions.signals]
            results = await asyncio.gather(*writes, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            if any(results):
                self._partitions.metrics.checkpoint.observe(time.monotonic() - began)
            return not self._partitions.lost

    async def _write_counts(self, number: int) -> bool:
        """Whether there was something to write."""
        changes = self._partitions.counts[number].take_changes()
        if not changes:
            return False
        now_ms = int(time.time() * 1000)
        tp = TP(self._topics.counts, number)
        state = count_records(number, changes, now_ms)
        output = self._alerts(changes, now_ms)
        for counter in changes.counters:
            self._add_counter(output, counter, now_ms)
        await self._commit(tp, output, state, changes.checkpoint.offset + 1)
        return True

    async def _write_signals(self, number: int) -> bool:
        changes = self._partitions.signals[number].take_changes()
        if not changes:
            return False
        now_ms = int(time.time() * 1000)
        tp = TP(self._topics.signals, number)
        state = signal_records(changes, now_ms)
        output = self._alerts(changes, now_ms)
        await self._commit(tp, output, state, changes.offset + 1)
        return True

    async def _commit(self, tp: TP, output: Output, state: list[Record], next_offset: int) -> None:
        """One transaction. What was taken of a partition and did not get through is lost to this process, so
        the partition is, too: it is taken over again, and its records come again, here or elsewhere.
        """
        transactions = self._owned.transactions(tp)
        if transactions is None:
            self._partitions.lose(tp, "it is being taken over")
            return
        changelog = self._changelogs[tp.topic], tp.partition
        if state:
            output[changelog] = state
        try:
            last_offsets = await transactions.commit(output, next_offset)
        except BaseException as error:
            # A rebalance that did not wait may have given the partition anew: that one is not ours to lose.
            held = self._owned.transactions(tp) is transactions
            if held and isinstance(error, FencedError):
                self._partitions.lose(tp, "another monitor has taken it over", FENCED_S)
                _log.warning("another monitor has taken over", topic=tp.topic, partition=tp.partition)
            elif held:
                self._partitions.lose(tp, f"its checkpoint failed: {error!r}")
            if isinstance(error, CancelledError) or (held and not passes(error)):
                raise
            if held and not isinstance(error, FencedError):
                _log.warning(
                    "a checkpoint failed; its records come again",
                    topic=tp.topic,
                    partition=tp.partition,
                    reason=str(error),
                )
            return
        if self._owned.transactions(tp) is transactions:
            self.committed[tp] = next_offset
            if state:
                try:
                    self._owned.apply(tp, state, last_offsets[changelog], time.time())
                except BrokenStateError as error:
                    self._partitions.lose(tp, str(error))

    def _alerts(self, changes: CountChanges | SignalChanges, now_ms: int) -> Output:
        output: Output = {}
        for alert in changes.alerts:
            self._add_alert(output, alert, now_ms)
        for alert_id in changes.forgotten_alerts:
            self._add(output, self._topics.alerts, Record(alert_id.encode(), None, [], now_ms))
        return output

    def _add_counter(self, output: Output, counter: WindowCounter, now_ms: int) -> None:
        key = f"{counter.channel}|{counter.window_s}|{int(counter.start.timestamp())}|{counter.shard}"
        headers = self._counter_headers.of(key, counter.end.isoformat().encode())
        body = to_json(counter.model_dump())
        self._add(output, self._topics.counters, Record(key.encode(), body, headers, now_ms))

    def _add_alert(self, output: Output, alert: Alert, now_ms: int) -> None:
        headers = self._alert_headers.of(
            f"{alert.id}:{alert.revision}", alert.updated_at.isoformat().encode()
        )
        body = to_json(alert.model_dump())
        self._add(output, self._topics.alerts, Record(alert.id.encode(), body, headers, now_ms))

    def _add(self, output: Output, topic: str, record: Record) -> None:
        place = topic, partition_of(record.key or b"", self._sizes[topic])
        output.setdefault(place, []).append(record)
