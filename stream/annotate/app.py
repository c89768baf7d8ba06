"""The annotator: model, metrics, watchdog, and memberships in the group one after the other.

A membership (``pipeline``) ends when it is stopped or when its publishing broke. After a fencing or a
broker failure the next one joins the group anew, which starts over from what Kafka says is committed.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from model.contract import Model
from stream.admin import batch_limits
from stream.annotate.admission import Admission
from stream.annotate.assigned import PartitionContext
from stream.annotate.cluster import check_cluster
from stream.annotate.drained import until_drained
from stream.annotate.inputtopics import Incarnations, InputTopics, TopicsChangedError, open_inputs
from stream.annotate.lag import Lag
from stream.annotate.lists import Lists
from stream.annotate.models import Models
from stream.annotate.optouts import following
from stream.annotate.outcomes import OutcomeEncoder, OutcomePolicy
from stream.annotate.pipeline import Pipeline
from stream.annotate.progress import Progress
from stream.annotate.publish import OpenPublisher, publishers
from stream.annotate.shadow import Shadow
from stream.annotate.tracing import open_tracing
from stream.annotate.worker import Worker
from stream.cloudevents import JSON_VALUES
from stream.errors import StalledError
from stream.inputs import Inputs
from stream.kafka import connection, stop_consumer
from stream.lastresort import LastResort
from stream.limits import OutputLimits
from stream.mapping import MessageMapping
from stream.metrics import Metrics
from stream.outages import decisive, passes
from stream.privacy import Pseudonyms
from stream.refusals import refusal
from stream.registry import open_registry
from stream.registry.registering import labelled_events
from stream.settings import Settings
from stream.starting import answered
from stream.transactions import PublishError
from stream.unpacking import bound_unpacking

_log = structlog.get_logger(__name__)

_OBSERVE_S = 0.5
_METADATA_MAX_AGE_MS = 3_000
_REJOIN_S = (0.5, 1.0, 2.0, 5.0)


class Annotator:
    """Labels the input topics until stopped. One event loop, two threads."""

    def __init__(
        self,
        settings: Settings,
        model: Model,
        metrics: Metrics | None = None,
        *,
        shadow: Model | None = None,
        last_resort: LastResort | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.metrics.ready.set_function(lambda: self.unready() is None)
        self.progress = Progress(settings.stall_timeout_s, settings.session_timeout_ms / 1000)
        self.http_port: int | None = None
        self._settings = settings
        self._models = Models(settings, model, self.metrics)
        self._shadow = None if shadow is None else Shadow(settings, shadow, self.metrics)
        self._tracing = open_tracing(settings.tracing)
        self._stop = asyncio.Event()
        self._last_resort = last_resort
        self._limits = OutputLimits(assumed=settings.published_bytes)
        self._suspects: set[TopicPartition] = set()
        self._pipeline: Pipeline | None = None
        self._inputs = Inputs.of(settings)
        self._input: InputTopics | None = None
        self._read: Incarnations = {}
        self._lag = Lag(self.progress, self.metrics)
        self._pseudonyms = Pseudonyms(
            settings.author_key.get_secret_value().encode() if settings.author_key else None,
            author_case=settings.author_case,
        )
        self._lists = Lists(settings, self._pseudonyms, self.metrics)
        self._registry = open_registry(settings)
        self._events = JSON_VALUES
        self._mapping = MessageMapping.of(settings)

    def stop(self, because: BaseException | None = None) -> None:
        """Finish what is in flight and end."""
        self._stop.set()
        if self._last_resort is not None:
            self._last_resort.begin(because)

    def reload_model(self) -> None:
        """Load the model that the settings name beside the one in force, and exchange them if it passes."""
        self._models.reload()

    async def run(self) -> None:
        """Label messages until ``stop``, or with ``drain`` until everything that was there is labelled.

        Raises:
            BrokerError, TopicError, SettingsError, RegistryRefusedError: it cannot start.
            ModelBrokenError: the model fails on every text.
            StalledError: messages of a partition wait, but none was finished for ``stall_timeout_s``; or the
                consumer was not polled at all.
        """
        settings = self._settings
        bound_unpacking(settings.max_unpacked_bytes)
        partitions = await answered(settings, self._stop, self._look_at_cluster)
        if partitions is None or self._input is None:
            return
        if settings.drain and self._inputs.pattern is not None and not self._input.there:
            await self._input.close()
            return  # nothing matches, so nothing was there at the start
        threads = (Worker("tokenize"), Worker("model"))
        try:
            async with contextlib.AsyncExitStack() as around:
                around.push_async_callback(self._input.close)
                if self._registry is not None:
                    await around.enter_async_context(self._registry)
                events = await labelled_events(self._registry, settings, self._stop)
                if events is None:
                    return
                self._events = events
                if settings.http_port is not None:
                    # A web server's libraries take a third of a second, which a start without one is spared.
                    from stream.annotate.web import endpoints

                    self.http_port = await around.enter_async_context(
                        endpoints(
                            settings,
                            self.metrics.registry,
                            health=self.unhealthy,
                            ready=self.unready,
                        )
                    )
                    _log.info(
                        "serving /metrics, /healthz and /readyz", host=settings.http_host, port=self.http_port
                    )
                if settings.optout_topic:
                    await around.enter_async_context(
                        following(
                            settings, partitions[settings.topics.optout], self._lists.optout, self._stop
                        )
                    )
                    if self._stop.is_set():
                        return
                await self._label(self._input, partitions, threads)
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            for thread in threads:
                thread.stop()
            # It waits for the receiver, and must not keep the loop from what else there is to end.
            await asyncio.to_thread(self._tracing.close)

    def unhealthy(self) -> str | None:
        """Why a supervisor should restart us, if it should."""
        return self.progress.standstill(time.monotonic())

    def unready(self) -> str | None:
        """Why we are not labelling at the moment, if we are not."""
        if self._input is not None and (reason := self._input.unready()):
            return reason
        if self._pipeline is None or not self._pipeline.ready:
            return "not in the consumer group"
        partitions = self._pipeline.partitions.items()
        held = [f"{tp.topic} {tp.partition}" for tp, one in partitions if one.waits_for_schema]
        if held and self._registry is not None and self._registry.failing:
            return f"partitions wait for the schema registry ({', '.join(held)}): {self._registry.failing}"
        return self.unhealthy()

    async def _look_at_cluster(self) -> dict[str, int]:
        """Partitions of the topics that we need; what they take and the input topics are known then, too."""
        settings = self._settings
        partitions = await check_cluster(settings)
        self._limits = OutputLimits(
            await batch_limits(settings, partitions), assumed=settings.published_bytes
        )
        expected = [name for name in partitions if name in self._inputs]
        self._input = await open_inputs(settings, self._inputs, self.metrics, expected=expected)
        return partitions

    async def _label(
        self, topics: InputTopics, partitions: dict[str, int], threads: tuple[Worker, Worker]
    ) -> None:
        """Memberships, and beside them, whatever they hang in, what looks on."""
        try:
            async with asyncio.TaskGroup() as tasks:
                looking_on = [
                    tasks.create_task(self._or_stop(topics.follow), name="input-topics"),
                    tasks.create_task(self._or_stop(lambda: self._watch(topics)), name="watch"),
                    tasks.create_task(self._or_stop(lambda: self._models.follow(self._use)), name="models"),
                    tasks.create_task(self._or_stop(self._lists.follow_phrases), name="phrases"),
                ]
                if self._shadow is not None:
                    looking_on.append(tasks.create_task(self._or_stop(self._shadow.compare), name="shadow"))
                await self._memberships(topics, partitions, threads)
                for task in looking_on:
                    task.cancel()
        except BaseExceptionGroup as raised:
            raise decisive(raised) from None

    async def _or_stop(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``. Where it fails, stop too: aiokafka may swallow the cancellation that follows."""
        try:
            await work()
        except Exception as error:
            self.stop(error)
            raise

    def _use(self, model: Model) -> None:
        if self._pipeline is not None:
            self._pipeline.use(model)
        if self._shadow is not None:
            self._shadow.start_anew()

    async def _memberships(
        self, topics: InputTopics, partitions: dict[str, int], threads: tuple[Worker, Worker]
    ) -> None:
        failures = 0
        while not self._stop.is_set():
            await topics.until_there(self._stop)
            finished_before = self.progress.finished_messages
            try:
                await topics.look()
                self._forget_changed(topics)
                self._read = dict(topics.there)
                if self._read:  # else they have gone just now
                    await self._member(topics, partitions, threads)
            except Exception as raised:
                error = decisive(raised)
                if refused := refusal(error):
                    raise refused from error
                if not isinstance(error, TopicsChangedError) and not passes(error):
                    raise error from None
                failures = 0 if self.progress.finished_messages > finished_before else failures + 1
                await self._pause_before_rejoin(error, failures)

    def _forget_changed(self, topics: InputTopics) -> None:
        """Stop the clocks of topics that have gone, or are others by now, whatever the membership died of."""
        self.progress.forget({name for name, one in self._read.items() if topics.there.get(name) is not one})

    async def _pause_before_rejoin(self, error: BaseException, failures: int) -> None:
        pause_s = _REJOIN_S[min(failures, len(_REJOIN_S) - 1)]
        self.metrics.rejoins.inc()
        _log.warning("leaving the group and joining again", reason=str(error), pause_s=pause_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _member(
        self, topics: InputTopics, partitions: dict[str, int], threads: tuple[Worker, Worker]
    ) -> None:
        """One membership in the group, from join to leave, for the topics that are there now."""
        settings, incarnations = self._settings, self._read
        consumer = AIOKafkaConsumer(
            **connection(settings),
            group_id=settings.group_id,
            enable_auto_commit=False,
            isolation_level="read_committed",
            # Where a group starts is decided when a partition is taken over, and where to go on after
            # retention has overtaken us is decided with a count of what was lost.
            auto_offset_reset="none",
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,  # also the time until added partitions are read
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            max_poll_interval_ms=settings.max_poll_interval_ms,
            max_partition_fetch_bytes=max(1_048_576, 2 * settings.max_message_bytes),
        )
        try:
            await asyncio.wait_for(consumer.start(), settings.transaction_timeout_ms / 1000)
            async with publishers(settings, consumer, self._limits) as open_publisher:
                self._pipeline = Pipeline(
                    settings,
                    self._models.current,
                    self._admission(),
                    self._context(consumer, open_publisher, partitions, incarnations),
                    self.metrics,
                    threads,
                    self._registry,
                    self._shadow,
                )
                await self._run_pipeline(self._pipeline, consumer, topics, incarnations)
        except TimeoutError:
            raise PublishError("the brokers did not answer in time") from None
        finally:
            self._pipeline = None
            await stop_consumer(consumer, settings.revoke_timeout_s)

    async def _run_pipeline(
        self,
        pipeline: Pipeline,
        consumer: AIOKafkaConsumer,
        topics: InputTopics,
        incarnations: Incarnations,
    ) -> None:
        places = [
            TopicPartition(name, number) for name in incarnations for number in range(topics.partitions[name])
        ]
        async with asyncio.TaskGroup() as tasks:
            changed = tasks.create_task(topics.end_when_changed(incarnations), name="topics-changed")
            drain = tasks.create_task(self._stop_when_drained(pipeline, consumer, places), name="drain")
            await pipeline.run(self._stop)
            changed.cancel()
            drain.cancel()

    async def _stop_when_drained(
        self, pipeline: Pipeline, consumer: AIOKafkaConsumer, places: list[TopicPartition]
    ) -> None:
        if self._settings.drain:
            await until_drained(self._settings, pipeline, consumer, places)
            self.stop()

    def _context(
        self,
        consumer: AIOKafkaConsumer,
        open_publisher: OpenPublisher,
        partitions: dict[str, int],
        incarnations: Incarnations,
    ) -> PartitionContext:
        settings = self._settings
        policy = OutcomePolicy(
            topics=settings.topics,
            partitions=partitions,
            model=self._models.current.info,
            include_text=settings.include_text,
            count_window_s=settings.count_window_s,
            signal_min_level=settings.signal_min_level,
            optout=self._lists.optout,
        )
        exactly_once = settings.guarantee == "exactly_once"
        return PartitionContext(
            consumer=consumer,
            open_publisher=open_publisher,
            encoders={
                name: OutcomeEncoder(policy, name, incarnation.epoch, self._limits, self._events)
                for name, incarnation in incarnations.items()
            },
            metrics=self.metrics,
            tracing=self._tracing,
            commit_interval_s=settings.commit_interval_ms / 1000 if exactly_once else 0.0,
            incarnations=incarnations,
            starts_at_latest=settings.auto_offset_reset == "latest",
            progress=self.progress,
            suspects=self._suspects,
        )

    def _admission(self) -> Admission:
        settings = self._settings
        self._lists.reload_optout()
        return Admission(
            input_format=settings.input_format,
            max_message_bytes=settings.max_message_bytes,
            max_ahead_s=settings.max_ahead_s,
            pseudonyms=self._pseudonyms,
            optout=self._lists.optout,
            phrases=self._lists.phrases,
            text_parts=settings.text_parts,
            mapping=self._mapping,
            registry=self._registry,
            publish_keys=settings.publish_keys,
        )

    async def _watch(self, topics: InputTopics) -> None:
        """Lag and age as metrics, the opt-out file on change, and the stall watchdog.

        Raises:
            StalledError: a partition stands still, in whatever the membership hangs, or the membership does.
            Exception: whatever keeps the opt-out topic from being followed.
        """
        self.progress.polled(time.monotonic())
        while True:
            await asyncio.sleep(_OBSERVE_S)
            if not topics.readable:  # a restart would bring back neither topics nor brokers
                self.progress.polled(time.monotonic())
            self._forget_changed(topics)
            self._lists.reload_optout()
            if self._pipeline is not None:
                await self._lag.observe(self._pipeline)
            if reason := self.unhealthy():
                raise StalledError(f"{reason} (stall_timeout_s): ending, so that a supervisor can restart us")
