"""What passes: errors of brokers that die, restart, fence us or do not answer in time.

One rule for every program that runs on: what passes is tried again, from what Kafka says is committed; what a
cluster refuses for good (``stream.refusals``) ends the process with what to change; anything else is a fault
of ours, and ends it, too. How long an outage may last is not decided here but by whoever watches over
progress (``stall_timeout_s``).
"""

import asyncio
from collections.abc import Awaitable, Callable
from ssl import SSLError
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from stream.errors import BrokerError, StreamError
from stream.refusals import refusal
from stream.topicwatch import BrokerSilentError
from stream.transactions import FencedError, PublishError

RETRY_S: Final = 1.0

_PASSING: Final = (
    FencedError,
    PublishError,
    BrokerError,
    BrokerSilentError,
    KafkaError,
    TimeoutError,
    ConnectionError,
)

_log = structlog.get_logger(__name__)


def passes(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error.__cause__, SSLError):  # certificates do not change by waiting
        return False
    return isinstance(error, _PASSING) and refusal(error) is None


async def through_outages(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do ``work``, and do it anew whenever it ends with an error that passes.

    Raises:
        StreamError: the cluster refuses something for good.
        Exception: whatever else ``work`` raises.
    """
    while True:
        try:
            return await work()
        except Exception as error:
            if refused := refusal(error):
                raise refused from error
            if not passes(error):
                raise
            _log.warning("the brokers do not serve us; trying again", part=what, reason=repr(error))
        await asyncio.sleep(RETRY_S)


def decisive(raised: BaseException) -> BaseException:
    """Of what went wrong together, the error that decides what is done: one that ends us, else the first."""
    if not isinstance(raised, BaseExceptionGroup):
        return raised
    leaves = [decisive(error) for error in raised.exceptions]
    return next((error for error in leaves if isinstance(error, StreamError)), leaves[0])
