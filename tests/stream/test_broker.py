"""The embedded broker: speaks Kafka, keeps to its place, and never outlives whoever started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker
from stream.errors import BrokerError
from stream.settings import Settings
from tests.brokers import wait_until_it_answers
from tests.records import produce, read_committed_all

ROOT = Path(__file__).parents[2]

START_AND_WAIT = """
import sys, time
from stream.broker import EmbeddedBroker
broker = EmbeddedBroker().start()
print(broker.bootstrap_servers, flush=True)
{then}
"""


def test_it_answers_as_soon_as_it_has_started() -> None:
    with EmbeddedBroker() as broker:
        wait_until_it_answers(broker.bootstrap_servers, timeout_s=0)


def test_two_run_side_by_side() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap_servers != other.bootstrap_servers


async def test_it_starts_inside_a_running_event_loop() -> None:
    with EmbeddedBroker() as broker:
        assert broker.bootstrap_servers.startswith("127.0.0.1:")


def test_after_stop_nothing_answers_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedBroker() as broker:
        address = broker.bootstrap_servers
        assert list(tmp_path.iterdir())  # its scratch directory
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        wait_until_it_answers(address, timeout_s=0)


def test_it_is_not_addressable_before_the_start_and_after_the_stop() -> None:
    broker = EmbeddedBroker()
    with pytest.raises(BrokerError, match="not running"):
        broker.bootstrap_servers  # noqa: B018 - the property raises
    broker.start()
    broker.stop()
    broker.stop()
    with pytest.raises(BrokerError, match="not running"):
        broker.bootstrap_servers  # noqa: B018 - the property raises


async def test_a_data_directory_keeps_records_for_the_next_run(tmp_path: Path) -> None:
    from stream.admin import create_topics

    with EmbeddedBroker(tmp_path / "data") as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=2)
        await create_topics(settings)
        await produce(broker.bootstrap_servers, settings.input_topic, [b"kept"])
    with EmbeddedBroker(tmp_path / "data") as broker:
        records = await read_committed_all(broker.bootstrap_servers, settings.input_topic)
    assert [record.value for record in records] == [b"kept"]


def test_a_port_in_use_is_said_in_one_line() -> None:
    with EmbeddedBroker() as first:
        port = int(first.bootstrap_servers.rpartition(":")[2])
        with pytest.raises(BrokerError, match=rf"did not start: .*{port} is already in use$"):
            EmbeddedBroker(port=port).start()


def test_a_data_directory_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path), pytest.raises(BrokerError, match="already running"):
        EmbeddedBroker(tmp_path).start()


def test_a_data_directory_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BrokerError, match=r"^the embedded broker cannot use its data directory: .*file"):
        EmbeddedBroker(tmp_path / "file").start()


def test_a_platform_without_the_binary_is_told_to_name_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "noida_db", None)
    with pytest.raises(BrokerError, match=r"^[^\n.]* --bootstrap-servers$"):
        EmbeddedBroker().start()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda process: process.send_signal(signal.SIGKILL), id="SIGKILL"),
        pytest.param(lambda process: process.send_signal(signal.SIGTERM), id="SIGTERM"),
        pytest.param(lambda process: process.send_signal(signal.SIGINT), id="SIGINT"),
    ],
)
def test_it_ends_with_its_process_however_that_ends(
    tmp_path: Path, end: Callable[["subprocess.Popen[str]"], None]
) -> None:
    assert_broker_ends(tmp_path, "time.sleep(60)", end)


@pytest.mark.parametrize(
    "then", ["sys.exit(3)", "raise SystemExit", "import os; os._exit(1)", "1 / 0"], ids=str.split
)
def test_it_ends_with_its_process_when_that_forgets_to_stop_it(tmp_path: Path, then: str) -> None:
    assert_broker_ends(tmp_path, then, lambda process: None)


def assert_broker_ends(tmp_path: Path, then: str, end: Callable[["subprocess.Popen[str]"], None]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT.format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        end(process)
        process.wait(10)
    deadline = time.monotonic() + 10
    while any(tmp_path.iterdir()):  # the guard deletes it once the broker has ended
        assert time.monotonic() < deadline, "the scratch directory is still there"
        time.sleep(0.02)
    with pytest.raises(BrokerError):
        wait_until_it_answers(address, timeout_s=0)
