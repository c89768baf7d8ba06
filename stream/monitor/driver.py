"""Faust, driven so that nothing is lost or doubled: it reads committed records, of partitions that are ready.

Faust 0.15 gives us the consumer group, its streams and its agents. What it would lose or double by itself is
not used, or replaced here:

- Tables are not used. State is ours (``stream.monitor.state``), written in transactions of ours.
- With ``at_least_once`` its consumer reads uncommitted records. The annotator publishes in transactions,
  so the consumer made here reads committed ones.
- It commits what agents have acknowledged, where an event counts as acknowledged whose agent failed, or
  that a stream skipped because a rebalance was under way (with ``noack``, too). Its own commits are off;
  the offsets are part of the transaction of a checkpoint (``stream.monitor.checkpoint``).
- It seeks to the committed offsets during the rebalance, before a former owner is fenced, and around it
  drops records. Here a partition is read only once it has been taken over, and reading begins where the
  taking over says. What was fetched before is dropped wherever it has come to: in a fetch that is under way,
  among those handed out, or in an agent's queue (``Gate``).
- It drops what lies before the offset that it has read last, though we may have gone back meanwhile.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from stream.errors import RecordError
from stream.kafka import connection, stop_consumer
from stream.outages import RETRY_S, passes
from stream.settings import KafkaSettings

_log = structlog.get_logger(__name__)

_FAUST_LOGGER = logging.getLogger("faust.monitor")
"""Faust logs under the module of a subclass; these lines are a library's, so they go with the library's."""


FETCH_MAX_WAIT_MS: Final = 100
"""A broker answers in order, so what is asked next waits for the fetch that was sent before."""

FETCH_S: Final = 0.2
"""Longest that one fetch waits for records: seeks and questions wait for it."""

IDLE_S: Final = 0.05

STOP_S: Final = 5.0

_UNREADABLE: Final = (CorruptRecordException, UnsupportedCodecError)


class Answer(NamedTuple):
    """Of a fetch: when it came, where the committed records end, and how far we have read meanwhile."""

    at: float
    end: int
    position: int


class CommittedConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, reading committed records."""

    logger = _FAUST_LOGGER

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust chooses these two itself; aiokafka reads them when it starts.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def on_thread_stop(self) -> None:
        """End the calls that wait, then the consumer: without a broker its ``stop`` is no end, and raises."""
        await super(AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is not None:
            await stop_consumer(self._consumer, STOP_S)

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

    async def go_on_after_failure(self) -> None:
        """Tell aiokafka that its failure was heard of: it then tries to join again."""

        async def hear() -> None:
            with contextlib.suppress(KafkaError):
                self._ensure_consumer()._coordinator.check_errors()

        await self.call_thread(hear)

    async def refresh_metadata(self) -> None:
        await self.call_thread(self._ensure_consumer()._client.force_metadata_update)

    async def committed(self, tp: TP) -> int | None:
        """The offset that the group has committed."""
        consumer = self._ensure_consumer()
        return cast(int | None, await self.call_thread(consumer.committed, TopicPartition(*tp)))

    def lag(self, tp: TP) -> int:
        """Committed records of a partition that have not been fetched yet."""
        answer = self._last_answer(tp)
        return 0 if answer is None else max(0, answer.end - answer.position)

    def drained_at(self, tp: TP) -> float | None:
        """When a broker last said that a partition holds no more than what has been fetched, if it did."""
        answer = self._last_answer(tp)
        return None if answer is None or answer.position < answer.end else answer.at

    def _last_answer(self, tp: TP) -> Answer | None:
        """What a broker last said of a partition; None where none has yet."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(TopicPartition(*tp)) if assignment else None
        if state is None:
            return None
        # The consumer's thread goes on: read in this order, an end is never older than its time.
        at_ms, end, position = state.timestamp, state.lso, state._position
        return None if None in (at_ms, end, position) else Answer(at_ms / 1000, end, position)


class Gate:
    """Which partitions may be read. Of one that has been shut, what was fetched before is admitted no more.

    A partition's turn is how often it was shut: each record bears the one that it was fetched in.
    """

    def __init__(self) -> None:
        self._open: set[TP] = set()
        self._turns: Counter[TP] = Counter()
        self._fetched_in: dict[TP, int] = {}
        self._fetching = asyncio.Lock()

    def open(self, tps: Iterable[TP]) -> None:
        self._open.update(tps)

    def shut(self, tps: Iterable[TP] | None = None) -> None:
        """Shut it for some partitions, or for all."""
        closing = set(self._open) if tps is None else set(tps)
        self._open -= closing
        self._turns.update(closing)

    def fetched_in(self, tp: TP) -> int:
        """The turn that the newest records of a partition were fetched in."""
        return self._fetched_in[tp]

    def admits(self, tp: TP, turn: int) -> bool:
        """Whether a partition has not been shut since that turn."""
        return self._turns[tp] == turn

    async def quiet(self) -> None:
        """Wait until nothing is fetched any more that was asked for before: it would read on from where a
        seek goes to meanwhile, and be dropped.
        """
        async with self._fetching:
            pass

    async def fetch(self, wanted: Iterable[TP], fetch: Callable[[set[TP]], Awaitable[Any]]) -> Any:
        """What ``fetch`` brings of those wanted that are open, and have not been shut meanwhile.

        Faust hands over a set that it goes on changing, and an empty one would fetch of all partitions. Where
        it cancels this, the consumer's thread fetches on, so ``quiet`` waits for that, too.
        """
        asked = self._open.intersection(wanted)
        if not asked:
            await asyncio.sleep(IDLE_S)
            return {}
        return await asyncio.shield(asyncio.create_task(self._fetch(asked, fetch)))

    async def _fetch(self, asked: set[TP], fetch: Callable[[set[TP]], Awaitable[Any]]) -> Any:
        async with self._fetching:
            asked = asked & self._open
            turns = {tp: self._turns[tp] for tp in asked}
            self._fetched_in.update(turns)
            records = await fetch(asked) if asked else {}
            return {tp: found for tp, found in records.items() if self.admits(tp, turns[tp])}


class _NoneRead(dict[TP, int | None]):
    """What Faust keeps of the offsets that it has read last: none, so that it drops no record for them."""

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass


class CommittedConsumer(Consumer):
    """Faust's consumer, reading what the gate lets through; seeks and commits are left to us."""

    logger = _FAUST_LOGGER
    _thread: CommittedConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate()
        self._read_offset = _NoneRead()
        self._fetched: dict[TP, int] = {}
        self._drained_at: dict[TP, float | None] = {}

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        async def fetch(asked: set[TP]) -> Any:
            try:
                records = await super(CommittedConsumer, self)._getmany(asked, min(timeout, FETCH_S))
            except _UNREADABLE as error:
                places = ", ".join(f"{tp.topic} {tp.partition}" for tp in sorted(asked))
                raise RecordError(
                    f"a batch of one of these partitions cannot be read: {places} ({error!r}): see the "
                    "broker's log"
                ) from error
            except KafkaError as error:
                if not passes(error):
                    raise
                _log.warning("nothing could be fetched; trying again", reason=repr(error))
                await asyncio.sleep(RETRY_S)
                return {}
            for tp, found in records.items():
                self._fetched[TP(*tp)] = found[-1].offset + 1
            self._drained_at.update((tp, self._thread.drained_at(tp)) for tp in asked)
            return records

        return await self.gate.fetch(active_partitions or (), fetch)

    def _to_message(self, tp: TP, record: Any) -> Any:
        message: Any = super()._to_message(tp, record)
        message.turn = self.gate.fetched_in(tp)
        return message

    def admits(self, message: Any) -> bool:
        """Whether a record was fetched since its partition was last taken over."""
        return self.gate.admits(message.tp, message.turn)

    def waits(self, tp: TP, committed: int) -> bool:
        """Whether there are records, fetched or not, behind the committed offset."""
        return self.lag(tp) > 0 or self._fetched.get(tp, 0) > committed

    def drained_at(self, tp: TP, next_offset: int) -> float | None:
        """The moment up to which all of a partition has been taken, where what is taken ends before
        ``next_offset``; None while records wait, or before a broker has said whether any do.
        """
        return None if self._fetched.get(tp, 0) > next_offset else self._drained_at.get(tp)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Nothing: whoever takes a partition over seeks, once its former owner is fenced."""
        return {}

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Nothing: Faust would commit what its streams skipped while it rebalanced, and so lose it."""
        return False

    async def read_from(self, tp: TP, *, default: int | None = None) -> int | None:
        """Go to the offset that the group has committed, else to ``default``, else to the beginning."""
        self._fetched.pop(tp, None)
        self._drained_at.pop(tp, None)
        committed = await self._thread.committed(tp)
        offset = default if committed is None else committed
        if offset is None:
            await self._thread.seek_to_beginning(TopicPartition(*tp))
        else:
            await self.seek(tp, offset)
        return offset

    async def refresh_metadata(self) -> None:
        """Learn of new partitions now: aiokafka asks every five minutes."""
        await self._thread.refresh_metadata()

    def group_failure(self) -> BaseException | None:
        return self._thread.group_failure()

    async def go_on_after_failure(self) -> None:
        await self._thread.go_on_after_failure()

    def lag(self, tp: TP) -> int:
        return self._thread.lag(tp)


class CommittedTransport(Transport):
    Consumer = CommittedConsumer


class MonitorApp(faust.App):
    """A Faust app on the transport above."""

    logger = _FAUST_LOGGER

    @property
    def committed_consumer(self) -> CommittedConsumer:
        return cast(CommittedConsumer, self.consumer)

    async def settled(self) -> None:
        """Wait until Faust has ended a rebalance: until then it empties the queues before its streams."""
        while self.rebalancing:  # noqa: ASYNC110 - Faust sets it from another thread
            await asyncio.sleep(IDLE_S)

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
