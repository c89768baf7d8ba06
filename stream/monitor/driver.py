"""Faust, driven so that its state survives a crash: committed records only, offsets committed by us.

Three things that Faust 0.15 does by itself would lose or double messages, and are replaced here:

- With ``at_least_once`` its consumer reads uncommitted records. The annotator publishes in transactions,
  so the consumer made here reads committed ones.
- It commits what agents have acknowledged, where an event counts as acknowledged whose agent failed, or
  that a stream skipped because a rebalance was under way (with ``noack``, too), and it does not make sure
  that the changelog has been written. Its own commits are off; the offsets are committed by the checkpoint
  (``stream.monitor.checkpoint``), after everything else.
- Its tables send their changelog from a queue and forget what becomes of it. ``StateTable`` sends when a
  checkpoint asks for it, and waits until each record is on the brokers.
"""

import logging
from collections.abc import Mapping
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, FutureMessage

from stream.kafka import connection
from stream.settings import KafkaSettings

_FAUST_LOGGER = logging.getLogger("faust.monitor")
"""Faust logs under the module of a subclass; these lines are a library's, so they go with the library's."""


class CommittedConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, reading committed records."""

    logger = _FAUST_LOGGER

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust chooses the level by its own processing guarantee; aiokafka reads it when it starts.
        consumer._isolation_level = "read_committed"
        return consumer

    async def still_member(self) -> bool:
        """A heartbeat out of turn: a process that was frozen learns from it that its session is over."""
        return bool(await self.call_thread(self._ensure_consumer()._coordinator._do_heartbeat))

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
    """Faust's consumer, whose offsets are committed explicitly."""

    logger = _FAUST_LOGGER
    _thread: CommittedConsumerThread

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Nothing: Faust would commit what its streams skipped while it rebalanced, and so lose it."""
        return False

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit the next offset to read of each partition; whether the group still took it from us."""
        return bool(await self._commit(offsets))

    async def still_member(self) -> bool:
        """Whether the broker says, now, that we are a member of the group and our partitions are ours."""
        return await self._thread.still_member()

    def group_failure(self) -> BaseException | None:
        return self._thread.group_failure()

    def lag(self, tp: TP) -> int:
        return self._thread.lag(tp)


class CommittedTransport(Transport):
    Consumer = CommittedConsumer


class StateTable(faust.Table[bytes, bytes]):
    """A table that knows which of its changelog records are not on the brokers yet."""

    logger = _FAUST_LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsent: list[FutureMessage] = []

    def send_changelog(
        self, partition: int | None, key: Any, value: Any, *_: Any, **__: Any
    ) -> FutureMessage:
        """Take a record of the changelog; ``acknowledged`` sends it, in order.

        Faust's own way is a queue that it empties one record at a time, while it holds the streams back.
        """
        future = self.changelog_topic.as_future_message(
            key=key,
            value=value,
            partition=partition,
            key_serializer="raw",
            value_serializer="raw",
            callback=self._on_changelog_sent,
            eager_partitioning=True,
        )
        self._unsent.append(future)
        return future

    async def acknowledged(self) -> None:
        """Send what was taken, and wait until it is on the brokers; raises what a record failed with."""
        futures, self._unsent = self._unsent, []
        for future in futures:
            await future.message.channel.publish_message(future, wait=False)
        for future in futures:
            await future


class MonitorApp(faust.App):
    """A Faust app on the transport above."""

    logger = _FAUST_LOGGER

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
