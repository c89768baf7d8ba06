"""The checkpoint: publish, store, commit, in the order that makes it correct.

    1. counters and alerts to their topics        wait until the brokers have them
    2. states to the tables and their changelog   wait until the brokers have them
    3. offsets of the records behind all that     only now will those records not come again

A crash between two steps repeats records whose effects are partly there. That is harmless: counters and
alerts are upserts with the same keys, and a state that holds a record's effect knows its offset. Alerts go
before states, so that no state remembers an alert that nobody has been told of.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import structlog
from faust.types import TP

from stream.codec import CloudEventHeaders, to_json
from stream.errors import BrokerError
from stream.events import WireType
from stream.monitor.counting import CountChanges
from stream.monitor.driver import MonitorApp
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.partitions import Partitions
from stream.monitor.signalling import SignalChanges
from stream.settings import Settings

_log = structlog.get_logger(__name__)


class Checkpointer:
    """Makes checkpoints of all partitions, one at a time."""

    def __init__(self, app: MonitorApp, settings: Settings, partitions: Partitions) -> None:
        self._app = app
        self._topics = settings.topics
        self._partitions = partitions
        self._lock = asyncio.Lock()
        self._committed: dict[TP, int] = {}
        source = f"emotion-stream/{settings.monitor_group_id}"
        self._counter_headers = CloudEventHeaders("WindowCounter", source)
        self._alert_headers = CloudEventHeaders("Alert", source)

    async def write(self) -> bool:
        """One checkpoint of everything that has changed; whether it went through to its end.

        Before it shows or stores anything, the broker is asked whether we are still in the group: a process
        that was frozen while its partitions moved must not put old values behind its successor's.

        Raises:
            BrokerError: we were in the group when it began, and are no more: what it took is not stored.
            faust.exceptions.ProducerSendError, aiokafka.errors.KafkaError: a record did not get to the
                brokers in time; nothing has been committed, so a restart repeats it.
        """
        async with self._lock:
            if not await self._app.committed_consumer.still_member():
                return False
            began = time.monotonic()
            generation = self._app.consumer_generation_id
            counts = {number: one.take_changes() for number, one in self._partitions.counts.items()}
            signals = {number: one.take_changes() for number, one in self._partitions.signals.items()}
            changed_counts = {number: changes for number, changes in counts.items() if changes}
            changed_signals = {number: changes for number, changes in signals.items() if changes}
            # 1. What the world sees.
            await self._publish(changed_counts, changed_signals)
            # A rebalance that did not wait for us has given the partitions anew: what was taken from them
            # belongs to the time before, and would lie behind what their owner has stored since.
            if generation != self._app.consumer_generation_id:
                return False
            # 2. What the next owner needs.
            if changed_counts or changed_signals:
                if not await self._app.committed_consumer.still_member():
                    raise BrokerError("the group has given our partitions away in the middle of a checkpoint")
                await self._store(changed_counts, changed_signals)
            if generation != self._app.consumer_generation_id:
                return False
            # 3. That it need not be done again.
            offsets = {
                TP(self._topics.counts, number): one.checkpoint.offset + 1 for number, one in counts.items()
            }
            offsets |= {TP(self._topics.signals, number): one.offset + 1 for number, one in signals.items()}
            committed = await self._commit(offsets)
            if committed and (changed_counts or changed_signals):
                self._partitions.metrics.checkpoint.observe(time.monotonic() - began)
            return committed

    def forget_commits(self) -> None:
        """After a rebalance, what was committed before says nothing."""
        self._committed.clear()

    async def _publish(self, counts: dict[int, CountChanges], signals: dict[int, SignalChanges]) -> None:
        alerts = [alert for changes in counts.values() for alert in changes.alerts]
        alerts += [alert for changes in signals.values() for alert in changes.alerts]
        sent = [await self._send_counter(one) for changes in counts.values() for one in changes.counters]
        sent += [await self._send_alert(alert) for alert in alerts]
        for changes in signals.values():
            sent += [await self._send_tombstone(alert_id) for alert_id in changes.forgotten_alerts]
        for acknowledgement in sent:
            await acknowledgement

    async def _store(self, counts: dict[int, CountChanges], signals: dict[int, SignalChanges]) -> None:
        stores = self._partitions.counts_store, self._partitions.authors_store
        for number, count_changes in counts.items():
            stores[0].write(number, count_changes)
        for number, signal_changes in signals.items():
            stores[1].write(number, signal_changes.states.items())
        for store in stores:
            await store.table.acknowledged()

    async def _commit(self, offsets: dict[TP, int]) -> bool:
        """Whether the group has these offsets now."""
        new = {tp: offset for tp, offset in offsets.items() if 0 < offset != self._committed.get(tp)}
        if not new:
            return True
        if not await self._app.committed_consumer.commit_offsets(new):
            _log.info("the group took no offsets from us: it rebalances; their records come again")
            return False
        self._committed |= new
        return True

    async def _send_counter(self, counter: WindowCounter) -> Awaitable[Any]:
        key = f"{counter.channel}|{counter.window_s}|{int(counter.start.timestamp())}"
        return await self._send(self._topics.counters, key, counter, self._counter_headers, key, counter.end)

    async def _send_alert(self, alert: Alert) -> Awaitable[Any]:
        identity = f"{alert.id}:{alert.revision}"
        return await self._send(
            self._topics.alerts, alert.id, alert, self._alert_headers, identity, alert.updated_at
        )

    async def _send(
        self, topic: str, key: str, value: WireType, headers: CloudEventHeaders, identity: str, time: Any
    ) -> Awaitable[Any]:
        stamped = headers.of(identity, time.isoformat().encode())
        body = to_json(value.model_dump())
        return await self._app.producer.send(topic, key.encode(), body, None, None, stamped)

    async def _send_tombstone(self, alert_id: str) -> Awaitable[Any]:
        return await self._app.producer.send(self._topics.alerts, alert_id.encode(), None, None, None, None)
