"""The input topics as the process sees them: do brokers answer, which are there, and which ones are they.

A topic that is deleted, made anew, or new among those that match a pattern ends the membership in the group;
the next one reads what is there then. Each membership so knows its topics, and each is one and the same.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from stream.errors import BrokerError
from stream.inputs import Inputs
from stream.kafka import connection
from stream.metrics import Metrics
from stream.settings import Settings
from stream.topicwatch import BrokerSilentError, TopicView, TopicWatch

_log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_LOOK_TIMEOUT_S = 3.0
_DISCOVER_S = 3.0
"""With a pattern, brokers tell of all topics at each look."""
_SILENCE_S = 5.0
"""No answer for so long, and we are not ready: shorter, and each change of leaders would be told."""
_GONE_AFTER_LOOKS = 2
"""A broker that has just started may not know all topics yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Incarnation:
    """A topic from when it is made until it is deleted: no two are equal, whatever their names.

    ``epoch`` is Kafka's id of it. Partitions from ``first_new`` on were made while we looked on.
    """

    epoch: str | None
    first_new: int

    def is_new(self, partition: int) -> bool:
        """Whether a partition is newer than we are, so that all of its messages are new ones."""
        return partition >= self.first_new


Incarnations = Mapping[str, Incarnation]
"""The topics that can be read, by name."""


class TopicsChangedError(Exception):
    """Input topics have gone, were made anew or came."""

    def __init__(self, before: Incarnations, now: Incarnations) -> None:
        gone, new = before.keys() - now.keys(), now.keys() - before.keys()
        anew = {name for name in before.keys() & now.keys() if before[name] is not now[name]}
        told = (("gone", gone), ("made anew", anew), ("new", new))
        changes = "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in told if names)
        super().__init__(f"the input topics have changed ({changes})")


class InputTopics:
    """Looks at the input topics again and again, whatever happens to memberships meanwhile."""

    def __init__(self, inputs: Inputs, watch: TopicWatch, metrics: Metrics) -> None:
        self.there: dict[str, Incarnation] = {}
        self.partitions: dict[str, int] = {}
        """How many each topic had when it was last seen."""
        self._inputs = inputs
        self._watch = watch
        self._metrics = metrics
        self._missed: Counter[str] = Counter()
        self._looked = False
        self._answered_at = time.monotonic()
        self._silence = ""
        self._changed = asyncio.Event()

    async def look(self) -> None:
        """Look now.

        Raises:
            BrokerSilentError: no broker answered.
        """
        views = await self._watch.look()
        self._take({name: view for name, view in views.items() if name in self._inputs})

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        interval_s = _LOOK_S if self._inputs.pattern is None else _DISCOVER_S
        try:
            while True:
                await asyncio.sleep(interval_s)
                try:
                    await self.look()
                except BrokerSilentError as error:
                    self._metrics.broker_answers.set(0)
                    self._silence = f": {error}"
                    _log.debug("no broker answers", reason=str(error))
        finally:
            await self._watch.close()

    async def close(self) -> None:
        """Close the connection that looks use."""
        await self._watch.close()

    async def end_when_changed(self, since: Incarnations) -> None:
        """Raises TopicsChangedError as soon as the topics that are there are not those of ``since``."""
        while self.there == since:
            self._changed.clear()
            await self._changed.wait()
        raise TopicsChangedError(since, self.there)

    async def until_there(self, stop: asyncio.Event) -> None:
        """Wait until there is a topic to read, or until ``stop``."""
        while not self.there and not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_S)
            except TimeoutError:
                continue

    @property
    def readable(self) -> bool:
        """Whether brokers answer, and there is a topic to read."""
        return bool(self.there) and self._silent_s < _SILENCE_S

    @property
    def _silent_s(self) -> float:
        return time.monotonic() - self._answered_at

    def unready(self) -> str | None:
        """What is wrong with the topics or the brokers."""
        if (silent_s := self._silent_s) >= _SILENCE_S:
            return f"no broker has answered for {silent_s:.0f} s{self._silence}"
        if gone := [name for name in self._inputs.names if self._missed[name] >= _GONE_AFTER_LOOKS]:
            return f"input topics that do not exist any more: {', '.join(gone)}"
        if not self.there:
            return f"no input topic is there ({self._inputs})"
        return None

    def _take(self, views: Mapping[str, TopicView]) -> None:
        self._answered_at = time.monotonic()
        self._metrics.broker_answers.set(1)
        for name, view in views.items():
            self._found(name, view)
        for name in {*self._inputs.names, *self.there} - views.keys():
            self._missed[name] += 1
            if self._missed[name] == _GONE_AFTER_LOOKS:
                self._gone(name)
        self._looked = True

    def _found(self, name: str, view: TopicView) -> None:
        known, before = self.there.get(name), self.partitions.get(name, 0)
        self._missed.pop(name, None)
        self._metrics.input_topic_exists.labels(name).set(1)
        self.partitions[name] = view.partitions
        if known is None or known.epoch != view.epoch:
            self.there[name] = Incarnation(view.epoch, first_new=0 if self._looked else view.partitions)
            self._changed.set()
            if self._looked:
                _log.warning(
                    "reading an input topic from its beginning",
                    topic=name,
                    because="it was made anew" if before else "it is new",
                    epoch=view.epoch,
                )
        elif before < view.partitions:
            _log.info("an input topic has more partitions", topic=name, partitions=view.partitions)

    def _gone(self, name: str) -> None:
        self.there.pop(name, None)
        self._changed.set()
        if name in self._inputs.names:
            self._metrics.input_topic_exists.labels(name).set(0)
            _log.error("an input topic does not exist any more: waiting for it", topic=name)
        else:
            del self._missed[name]
            self._metrics.input_topic_exists.remove(name)
            for partition in range(self.partitions[name]):
                with suppress(KeyError):  # it was another annotator's
                    self._metrics.unread_expired.remove(name, partition)
            _log.warning("a topic that matched input_pattern does not exist any more", topic=name)


async def open_inputs(
    settings: Settings, inputs: Inputs, metrics: Metrics, *, expected: Collection[str]
) -> InputTopics:
    """The input topics after a first look, which finds the ``expected`` ones. The caller closes them.

    Raises:
        BrokerError: no broker answers, or the one that does knows not all of them.
    """
    watch = TopicWatch(connection(settings), inputs.names or None, _LOOK_TIMEOUT_S)
    topics = InputTopics(inputs, watch, metrics)
    try:
        await topics.look()
    except BrokerSilentError as error:
        raise BrokerError(
            f"the Kafka cluster at {settings.bootstrap_servers} tells of no input topic: {error}"
        ) from error
    if unseen := set(expected) - topics.there.keys():
        await topics.close()
        raise BrokerError(
            f"a broker at {settings.bootstrap_servers} does not know all topics yet: "
            f"{', '.join(sorted(unseen))}"
        )
    return topics
