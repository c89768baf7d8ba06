"""Monitor and dashboard of a demo: processes of their own, as everywhere.

The demo goes on without them where they do not come up; ``Beside.problem`` then says why.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stream.processes import Beside, beside
from stream.settings import Settings


@asynccontextmanager
async def monitor_of(settings: Settings) -> AsyncIterator[Beside]:
    """A monitor of the demo's topics while the block runs. Its state goes with it."""
    with tempfile.TemporaryDirectory(prefix="emotion-stream-monitor-") as folder:
        settings = settings.model_copy(
            update={
                "monitor_group_id": f"{settings.group_id}-monitor",
                "state_dir": Path(folder),
                "state_store": "memory",
                "judge_delay_s": 1.0,  # a demo has no late messages to wait for
                "http_port": None,
            }
        )
        async with beside("monitor", settings, Path(folder)) as monitor:
            yield monitor


@asynccontextmanager
async def dashboard_of(settings: Settings) -> AsyncIterator[tuple[Beside, str | None]]:
    """A dashboard of the demo's topics while the block runs, and its address; None where it has none.

    It takes the port of the settings, or any free one where that is taken.
    """
    for port in (settings.dashboard_port, 0):
        ours = {"dashboard_port": port, "dashboard_host": "127.0.0.1", "http_port": None}
        chosen = settings.model_copy(update=ours)
        with tempfile.TemporaryDirectory(prefix="emotion-stream-dashboard-") as folder:
            async with beside("dashboard", chosen, Path(folder)) as dashboard:
                address = await dashboard.address()
                if address is not None or port == 0:
                    yield dashboard, address
                    return
