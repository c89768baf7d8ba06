"""Faust, driven so that its state survives a crash: committed records only, written in transactions of ours.

What Faust 0.15 does by itself would lose or double messages, and is replaced here:

- With ``at_least_once`` its consumer reads uncommitted records. The annotator publishes in transactions,
  so the consumer made here reads committed ones.
- It commits what agents have acknowledged, where an event counts as acknowledged whose agent failed, or
  that a stream skipped because a rebalance was under way (with ``noack``, too). Its own commits are off;
  the offsets are part of the transaction of a checkpoint (``stream.monitor.checkpoint``).
- Around a rebalance it drops records: a fetch may take those of partitions that nobody asked for, or still
  be under way when the next assignment begins; the queues are emptied once more when all is set up; and
  where the group has committed nothing yet, nothing goes back for what was dropped.
- Its tables send their changelog from a queue and forget what becomes of it. That of a ``StateTable`` is
  part of the same transaction.
- With ``exactly_once`` it would write transactions, too, but its recovery then waits for the offset of a
  transaction marker, and takes ten seconds of silence for the end.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import Token
from functools import cached_property
from typing import Any, Final, NamedTuple, cast
from weakref import ref

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.streams import _current_event
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from mode.utils.queues import FlowControlEvent

from stream.kafka import connection
from stream.records import Record
from stream.settings import KafkaSettings

_FAUST_LOGGER = logging.getLogger("faust.monitor")
"""Faust logs under the module of a subclass; these lines are a library's, so they go with the library's."""


REBALANCE_POLL_S: Final = 0.05
FETCH_MAX_WAIT_MS: Final = 100
"""A broker answers in order: the steps of a recovery wait, each, for the fetch that was sent before."""

_MARK: Final = b"~mark~"


class CommittedConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, reading committed records."""

    logger = _FAUST_LOGGER

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust chooses these two itself; aiokafka reads them when it starts.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    def group_failure(self) -> BaseException | None:
        """Why aiokafka waits for ever instead of joining the group: it tells only those who call ``getmany``
        of its consumer, which Faust does not.
        """
        coordinator = None if self._consumer is None else self._consumer._coordinator
        if coordinator is None or not hasattr(coordinator, "_coordination_task"):
            return None
        task = coordinator._coordination_task
        if task.done() and not task.cancelled():
            return cast(BaseException | None, task.exception())
        return cast(BaseException | None, coordinator._pending_exception)

    def lag(self, tp: TP) -> int:
        """Committed records of a partition that have not been fetched yet."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(TopicPartition(*tp)) if assignment else None
        if state is None or state.lso is None or not state.has_valid_position:
            return 0
        return max(0, int(state.lso) - int(state.position))


class CommittedConsumer(Consumer):
    """Faust's consumer, taking only what it was asked for; offsets are committed explicitly."""

    logger = _FAUST_LOGGER
    _thread: CommittedConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetching = asyncio.Lock()

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Fetch of the partitions that are active now. Faust hands its set over itself; should it be empty
        by the time that the thread reads it, that would fetch of all partitions, and drop what it got.

        Seeks wait for a fetch that is under way, so during a rebalance fetches are short.
        """
        asked = set(active_partitions or ())
        if self.app.rebalancing:
            timeout = min(timeout, REBALANCE_POLL_S)
        async with self._fetching:
            return await super()._getmany(asked, timeout) if asked else {}

    async def fetch_ended(self) -> None:
        """Wait until no fetch is under way, while the flow is stopped: about a second at most."""
        async with self._fetching:
            pass

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the group left off; where it has never been, to the beginning."""
        committed = await super().seek_to_committed()
        changelogs = self.app.tables.changelog_topics
        new = [tp for tp, offset in committed.items() if offset is None and tp.topic not in changelogs]
        if new:
            await self._thread.seek_to_beginning(*(TopicPartition(*tp) for tp in new))
        return committed

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Nothing: Faust would commit what its streams skipped while it rebalanced, and so lose it."""
        return False

    def group_failure(self) -> BaseException | None:
        return self._thread.group_failure()

    def lag(self, tp: TP) -> int:
        return self._thread.lag(tp)


class CommittedTransport(Transport):
    Consumer = CommittedConsumer


class FlowControl(FlowControlEvent):
    """Faust's valve before the streams. It empties the queues whenever it is opened, which is right after a
    rebalance has closed it, and loses records when it is open already.
    """

    def resume(self) -> None:
        if not self.is_active():
            super().resume()


class _Event(NamedTuple):
    """A record of the changelog, as Faust's stores take it."""

    key: bytes
    value: bytes | None
    message: Message


class _Place:
    """Stands in for the event being processed."""

    def __init__(self, partition: int) -> None:
        self.message = self
        self.partition = partition


class StateTable(faust.Table[bytes, bytes]):
    """A table whose changelog is written in our transactions, and applied here once they are committed.

    Recovery has to know where the changelog ends, and behind a transaction lies a marker that no reader
    ever sees. So whoever takes a partition over writes a mark behind everything: recovery ends with it, and
    a partition that does not hold its mark has not recovered.
    """

    logger = _FAUST_LOGGER

    @property
    def changelog(self) -> str:
        """The changelog's topic."""
        return str(self.changelog_topic.get_topic_name())

    async def mark(self, partition: int, mark: bytes) -> None:
        """Write ``mark`` to the end of the changelog, outside of any transaction."""
        producer = await self.app.maybe_start_producer()
        await producer.send_and_wait(self.changelog, _mark_key(partition), mark, partition, None, None)

    def mark_of(self, partition: int) -> bytes | None:
        """The last mark that was recovered."""
        return self.read(partition, _mark_key(partition))

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key of that partition. Faust asks the event being processed which one it is."""
        place = _Place(partition)
        token: Token[Any] = _current_event.set(ref(place))  # type: ignore[arg-type]  # all that it looks at
        try:
            return cast(bytes | None, self.data.get(key))
        finally:
            _current_event.reset(token)

    def apply(self, partition: int, records: Iterable[Record], last_offset: int) -> None:
        """Take over what the changelog has now, as recovery would: values and offset in this order."""
        tp = TP(self.changelog, partition)
        events = []
        for record in records:
            message = Message(*tp, last_offset, time.time(), 0, None, record.key, record.value, None, tp=tp)
            events.append(_Event(record.key or b"", record.value, message))
        self.apply_changelog_batch(cast(Any, events))


def is_mark(key: bytes) -> bool:
    """Whether a key of a table is that of a mark."""
    return key.startswith(_MARK)


def _mark_key(partition: int) -> bytes:
    return _MARK + str(partition).encode()


class MonitorApp(faust.App):
    """A Faust app on the transport above.

    ``take_over`` is awaited for the partitions of each assignment before their state recovers and before
    their committed offsets are read.
    """

    logger = _FAUST_LOGGER
    take_over: Callable[[set[TP]], Awaitable[None]]

    @cached_property
    def flow_control(self) -> FlowControl:
        return FlowControl()

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await self.committed_consumer.fetch_ended()
        await self.take_over(assigned)
        await super()._on_partitions_assigned(assigned, generation_id)

    @property
    def committed_consumer(self) -> CommittedConsumer:
        return cast(CommittedConsumer, self.consumer)

    @property
    def recovered_records(self) -> int:
        """How far all tables have recovered, as a number that grows."""
        offsets = cast(TableManager, self.tables).recovery.active_offsets
        return sum(offset for offset in offsets.values() if offset is not None)

    def _new_transport(self) -> CommittedTransport:
        return CommittedTransport(self.conf.broker_consumer, self)


def broker_options(settings: KafkaSettings) -> dict[str, Any]:
    """How Faust reaches the cluster: its own spelling of the connection settings."""
    arguments = connection(settings)
    servers = str(arguments["bootstrap_servers"]).split(",")
    options: dict[str, Any] = {
        "broker": [f"kafka://{server.strip()}" for server in servers],
        "broker_client_id": settings.client_id,
    }
    credentials = _credentials(settings, arguments)
    return options if credentials is None else {**options, "broker_credentials": credentials}


def _credentials(settings: KafkaSettings, arguments: dict[str, Any]) -> Any:
    context = arguments.get("ssl_context")
    match settings.security_protocol:
        case "PLAINTEXT":
            return None
        case "SSL":
            return faust.SSLCredentials(context=context)
        case _ if settings.sasl_mechanism == "OAUTHBEARER":
            return faust.OAuthCredentials(
                oauth_cb=arguments["sasl_oauth_token_provider"], ssl_context=context
            )
        case _:
            return faust.SASLCredentials(
                username=arguments["sasl_plain_username"],
                password=arguments["sasl_plain_password"],
                ssl_context=context,
                mechanism=arguments["sasl_mechanism"],
            )
