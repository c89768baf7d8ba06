"""How far behind each partition is: as metrics, and for the watchdog that wants to see it get somewhere."""

import asyncio
import contextlib
import time
from typing import Final

from aiokafka.errors import KafkaError

from stream.annotate.pipeline import Pipeline
from stream.annotate.progress import Place, Progress
from stream.metrics import Metrics

_TIMEOUT_S: Final = 0.5


class Lag:
    """Lag and age of the partitions that are ours, looked at now and then."""

    def __init__(self, progress: Progress, metrics: Metrics) -> None:
        self._progress = progress
        self._metrics = metrics
        self._measured: set[Place] = set()

    async def observe(self, pipeline: Pipeline) -> None:
        """Ask each partition, and forget those that have gone."""
        now_ms = time.time() * 1000
        for tp, partition in list(pipeline.partitions.items()):
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_TIMEOUT_S):
                    known = await partition.lag(now_ms)
                if known is None or pipeline.partitions.get(tp) is not partition:
                    continue
                lag, age_s = known
                self._progress.observed(time.monotonic(), tp, lag)
                # Where the registry is away, readiness says so.
                if partition.waits_for_schema and not partition.ledger:
                    self._progress.excused(time.monotonic(), tp)
                self._metrics.lag_messages.labels(*tp).set(lag)
                self._metrics.lag_seconds.labels(*tp).set(age_s)
        for place in self._progress.lag_messages:
            self._metrics.standstill.labels(*place).set(self._progress.still_s(time.monotonic(), place))
        for gone in self._measured - self._progress.lag_messages.keys():
            self._metrics.lag_messages.remove(*gone)
            self._metrics.lag_seconds.remove(*gone)
            self._metrics.standstill.remove(*gone)
        self._measured = set(self._progress.lag_messages)
        self._metrics.in_flight.set(pipeline.in_flight)
