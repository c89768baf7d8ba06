"""A cluster that is too old for what exactly once needs is refused with what to change."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.errors import SettingsError
from stream.membership import _asked
from stream.offsetrequests import OffsetFetch, TxnOffsetCommit

PLACE = TopicPartition("messages", 0)
OLDER = [
    (TxnOffsetCommit("group:m:1:0", 1, 0, "group", "m", 1, {PLACE: OffsetAndMetadata(5, "")}), (0, 2)),
    (OffsetFetch("group", [PLACE]), (0, 6)),
]
"""Requests, and the versions of them that Kafka 2.3 takes."""


@pytest.mark.parametrize(("request_", "versions"), OLDER)
async def test_a_broker_before_2_5_is_refused_with_what_to_change(
    request_: Any, versions: tuple[int, int]
) -> None:
    async def send() -> Any:
        return request_.prepare({request_.API_KEY: versions})

    with pytest.raises(SettingsError, match="at_least_once"):
        await _asked(send())


@pytest.mark.parametrize(("request_", "versions"), OLDER)
def test_a_newer_broker_gets_the_request(request_: Any, versions: tuple[int, int]) -> None:
    struct = request_.prepare({request_.API_KEY: (0, versions[1] + 3)})
    version: int = struct.API_VERSION
    assert version == versions[1] + 1
    assert struct.FLEXIBLE_VERSION
    assert struct.encode()
