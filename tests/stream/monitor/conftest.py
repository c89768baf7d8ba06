"""Fixtures of the monitor's tests: settings with topics and state of a test's own, and a running monitor."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stream.settings import Settings
from tests.conftest import Topics

MonitorTopics = Callable[..., Awaitable[Settings]]


@pytest.fixture
def monitor_topics(topics: Topics, unique_name: str, tmp_path: Path) -> MonitorTopics:
    """Like ``topics``, with a group and a state folder for a monitor, and short intervals."""

    async def make(**overrides: Any) -> Settings:
        values: dict[str, Any] = {
            "monitor_group_id": f"{unique_name}.monitor",
            "state_dir": tmp_path / "state",
            "partitions": 2,
            "checkpoint_interval_ms": 50,
            "judge_delay_s": 0,
            "session_timeout_ms": 6000,
        }
        return await topics(**values | overrides)

    return make
