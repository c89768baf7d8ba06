"""What all crash tests share: topics, settings that make a crash short, annotators, traffic."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stream.settings import Settings
from tests.brokers import Broker
from tests.conftest import Topics
from tests.crash.annotators import Annotators, annotators_of
from tests.crash.traffic import MAX_MESSAGE_BYTES, OPTED_OUT, POISON, Traffic


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.crash)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
async def settings(topics: Topics, broker: Broker, tmp_path: Path) -> Settings:
    """Small batches that take their time, so that a kill finds work in every stage."""
    optout_file = tmp_path / "optout.txt"
    optout_file.write_text("".join(f"{author}\n" for author in OPTED_OUT))
    return await topics(
        model=f"fake?delay_ms=10&fail_on={POISON}",
        max_batch_tokens=1024,
        max_in_flight_messages=600,
        max_message_bytes=MAX_MESSAGE_BYTES,
        commit_interval_ms=50,
        revoke_timeout_s=20,  # a machine that is busy with other work must not change the outcome
        session_timeout_ms=broker.min_session_timeout_ms,
        optout_file=optout_file,
        log_format="json",
    )


@pytest.fixture
def annotators(settings: Settings, broker: Broker, tmp_path: Path) -> Iterator[Annotators]:
    with annotators_of(settings, broker, tmp_path) as started:
        yield started


@pytest.fixture
def chance(pytestconfig: pytest.Config) -> random.Random:
    """Chooses the moments and the victims; seeded by ``--crash-seed``, which a failure shows."""
    seed: int = pytestconfig.getoption("--crash-seed")
    print(f"repeat with --crash-seed={seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)


@pytest.fixture
def traffic(chance: random.Random) -> Traffic:
    return Traffic(chance.randrange(10**6), datetime.now(UTC))
