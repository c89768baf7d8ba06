"""The cluster as an administrator asks it: a client that is connected, and why none can be."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream.errors import BrokerError
from stream.kafka import connection
from stream.settings import KafkaSettings

TIMEOUT_S: Final = 10.0
"""Longest that one exchange with the cluster may take."""


@asynccontextmanager
async def connected(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of the cluster, closed at the end.

    Raises:
        BrokerError: no broker answers within ``TIMEOUT_S``, or it refuses the credentials.
    """
    client = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        with _reasons_instead_of_logs() as reasons:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await client.start()
            except (KafkaError, OSError, TimeoutError) as error:
                why = f" ({reasons[-1].getMessage()})" if reasons else ""
                raise BrokerError(
                    f"no Kafka broker answers at {settings.bootstrap_servers}{why}: "
                    "check bootstrap_servers, security_protocol and the sasl settings"
                ) from _cause(reasons, error)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def conversation(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """``connected``, with what goes wrong later in the same words."""
    async with connected(settings) as client:
        try:
            yield client
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(
                f"the Kafka cluster at {settings.bootstrap_servers} failed: {error or type(error).__name__}"
            ) from error


class _Silence:
    """aiokafka's log, withheld while anybody here listens to it for reasons.

    Looks at the cluster overlap, and each ends when it likes: only the last one to end gives the log back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0
        self._before = (True, logging.NOTSET)

    @contextmanager
    def heard_by(self, listener: logging.Handler) -> Iterator[None]:
        logger = logging.getLogger("aiokafka")
        with self._lock:
            if not self._listeners:
                self._before = (logger.propagate, logger.level)
                logger.propagate = False
                logger.setLevel(
                    logging.WARNING
                )  # a program that silences its libraries still wants the reason
            self._listeners += 1
            logger.addHandler(listener)
        try:
            yield
        finally:
            with self._lock:
                logger.removeHandler(listener)
                self._listeners -= 1
                if not self._listeners:
                    logger.propagate = self._before[0]
                    logger.setLevel(self._before[1])


_silence = _Silence()


@contextmanager
def _reasons_instead_of_logs() -> Iterator[list[logging.LogRecord]]:
    """What aiokafka would log, as a list: its errors say why, and our one line is all that a person needs."""
    reasons = list[logging.LogRecord]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reasons.append(record)

    with _silence.heard_by(Keep(logging.WARNING)):
        yield reasons


def _cause(reasons: Sequence[logging.LogRecord], error: BaseException) -> BaseException:
    """What stood against a connection: aiokafka itself only says that there is none, and logs the rest."""
    found = [part for reason in reasons for part in reason.args or () if isinstance(part, BaseException)]
    return found[-1] if found else error
