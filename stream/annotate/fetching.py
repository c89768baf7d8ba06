"""How long a fetch waits at the broker for messages, by whether messages come.

A broker answers a fetch as soon as there is anything, so messages that come one by one are fetched one by
one, each with a request of its own: at some hundred a second that costs both sides more than the messages
do. While messages keep coming, a fetch therefore lets them gather at the broker. One that comes alone is
fetched at once.
"""

from typing import Final

from aiokafka import AIOKafkaConsumer

_GATHER_BYTES: Final = 65_536
"""So much does not wait for more."""
_LONGEST_S: Final = 0.5
"""As a fetch for the first message: a longer one would keep a partition waiting that is resumed."""


class Gathering:
    """Sets how the fetches of a consumer wait; ``gather_s`` bounds it while messages come.

    aiokafka takes both numbers when a consumer is made, and looks at them anew for each fetch (KIP-74 tells
    what they mean: ``fetch.min.bytes`` and ``fetch.max.wait.ms``).
    """

    def __init__(self, consumer: AIOKafkaConsumer, gather_s: float) -> None:
        self._fetcher = consumer._fetcher
        self._gather_ms = int(min(gather_s, _LONGEST_S) * 1000)
        self._alone = self._fetcher._fetch_min_bytes, self._fetcher._fetch_max_wait_ms

    def polled(self, anything: bool) -> None:
        """Say whether the last poll brought anything, before the next fetch is sent."""
        gathers = anything and self._gather_ms > 0
        waits = (_GATHER_BYTES, self._gather_ms) if gathers else self._alone
        self._fetcher._fetch_min_bytes, self._fetcher._fetch_max_wait_ms = waits
