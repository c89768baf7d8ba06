"""The input topic as the process sees it: do brokers answer, is it there, and which one is it."""

import asyncio
import time

import structlog

from stream.metrics import Metrics
from stream.topicwatch import BrokerSilentError, TopicView, TopicWatch

_log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_SILENCE_S = 5.0
"""No answer for so long, and we are not ready: shorter, and each change of leaders would be told."""
_GONE_AFTER_LOOKS = 2
"""A broker that has just started may not know all topics yet."""


class TopicChangedError(Exception):
    """The input topic has gone, or has been made anew: what is known of its offsets holds no more."""


class InputTopic:
    """Looks at the input topic once a second, whatever happens to memberships meanwhile."""

    def __init__(self, name: str, watch: TopicWatch, metrics: Metrics) -> None:
        self.made_anew = False
        """Whether it was made anew while we looked: then nothing of it may be skipped."""
        self._name = name
        self._watch = watch
        self._metrics = metrics
        self._view: TopicView | None = None
        self._first_partitions = 0
        self._missed = 0
        self._answered_at = time.monotonic()
        self._changed = asyncio.Event()

    @property
    def epoch(self) -> str | None:
        """Kafka's id of the topic that was there last."""
        return self._view.epoch if self._view else None

    @property
    def gone(self) -> bool:
        return self._missed >= _GONE_AFTER_LOOKS

    def is_newer_than_us(self, partition: int) -> bool:
        """Whether a partition was made while we looked on, so that all of its messages are new ones."""
        return self.made_anew or partition >= self._first_partitions

    async def look(self) -> None:
        """Look now.

        Raises:
            BrokerSilentError: no broker answered.
        """
        self._take(await self._watch.look())

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                try:
                    await self.look()
                except BrokerSilentError as error:
                    self._metrics.broker_answers.set(0)
                    _log.debug("no broker answers", reason=str(error))
        finally:
            await self._watch.close()

    async def close(self) -> None:
        """Close the connection that looks use."""
        await self._watch.close()

    async def end_when_changed(self) -> None:
        """Raises TopicChangedError as soon as the topic that is there now has gone or was made anew."""
        self._changed.clear()
        await self._changed.wait()
        raise TopicChangedError(self.unready() or f"the input topic {self._name} was made anew")

    async def until_there(self, stop: asyncio.Event) -> None:
        """Wait until the topic exists, or until ``stop``."""
        while self.gone and not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_S)
            except TimeoutError:
                continue

    def unready(self) -> str | None:
        """What is wrong with the topic or the brokers."""
        silent_s = time.monotonic() - self._answered_at
        if silent_s >= _SILENCE_S:
            return f"no broker has answered for {silent_s:.0f} s"
        if self.gone:
            return f"the input topic {self._name} does not exist any more"
        return None

    def _take(self, view: TopicView) -> None:
        self._answered_at = time.monotonic()
        self._metrics.broker_answers.set(1)
        was_gone = self.gone
        if view.partitions == 0:
            self._missed += 1
            if self.gone and not was_gone:
                self._metrics.input_topic_exists.set(0)
                _log.error("the input topic does not exist any more: waiting for it", topic=self._name)
                self._changed.set()
            return
        before, self._view, self._missed = self._view, view, 0
        self._metrics.input_topic_exists.set(1)
        if before is None:
            self._first_partitions = view.partitions
        elif was_gone or before.epoch != view.epoch:
            _log.warning(
                "the input topic was made anew: reading it from its beginning",
                topic=self._name,
                epoch=view.epoch,
                epoch_before=before.epoch,
            )
            self.made_anew = True
            self._changed.set()
        elif before.partitions < view.partitions:
            _log.info("the input topic has more partitions", topic=self._name, partitions=view.partitions)
