"""The brokers that tests run against: embedded, Apache Kafka in KAFKA_HOME or Docker, any by address."""

import asyncio
import base64
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import time
import uuid
import warnings
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiokafka.protocol.group import LeaveGroupRequest

from stream.admin import connected
from stream.broker import EmbeddedBroker
from stream.errors import BrokerError
from stream.settings import KafkaSettings

MIN_SESSION_TIMEOUT_MS = 1500
"""What the brokers that we configure accept, so that a killed member of a group is soon gone."""

KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"


class Broker(Protocol):
    """A broker of the test session."""

    kind: str
    bootstrap_servers: str
    min_session_timeout_ms: int

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def member_died(self, group_id: str, client_id: str) -> None:
        """Called when a member of a group was killed or frozen: a broker notices that by itself."""


def broker_of_kind(kind: str, folder: Path) -> Broker:
    """The broker that ``--kafka`` names, not yet started; its files go to ``folder``."""
    if kind == "embedded":
        return Embedded(folder)
    if kind == "apache":
        return ApacheKafka(folder)
    if kind == "docker":
        return DockerKafka()
    return Address(kind.removeprefix("address:"))


def is_real(kind: str) -> bool:
    return kind != "embedded"


def kinds_of(option: str, every: bool = True) -> list[str]:
    """Kinds of brokers meant by ``--kafka``: a list by commas; ``auto`` takes Apache Kafka where it is.

    Without ``every``, ``auto`` then leaves the embedded broker out.
    """
    if option == "auto":
        if not os.environ.get("KAFKA_HOME"):
            return ["embedded"]
        return ["embedded", "apache"] if every else ["apache"]
    kinds = option.split(",")
    for kind in kinds:
        if kind not in ("embedded", "apache", "docker") and not kind.startswith("address:"):
            raise pytest.UsageError(
                f"--kafka={kind}: choose from embedded, apache, docker, address:HOST:PORT and auto"
            )
    return kinds


class Embedded:
    kind = "embedded"
    min_session_timeout_ms = 6000  # Kafka's default, and here it cannot be changed

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker = EmbeddedBroker(folder)
        self.bootstrap_servers = ""

    def start(self) -> None:
        self.bootstrap_servers = self._broker.start().bootstrap_servers

    def stop(self) -> None:
        self.resume()
        self._broker.stop()

    def member_died(self, group_id: str, client_id: str) -> None:
        """Leave the group for the dead member: this broker knows no session timeout, and waits for ever."""
        outside_any_loop(_leave_group(self.bootstrap_servers, group_id, client_id))

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(json.loads((self._folder / "noida.control.json").read_text())["pid"], number)


class ApacheKafka:
    """One broker in KRaft mode, from KAFKA_HOME; ``stop`` and ``start`` keep its data.

    ``brief``: Java's optimising compiler, whose time does not pay within minutes, stays off.
    """

    kind = "apache"
    min_session_timeout_ms = MIN_SESSION_TIMEOUT_MS

    def __init__(self, folder: Path, *, brief: bool = True) -> None:
        home = os.environ.get("KAFKA_HOME")
        if not home:
            pytest.skip("KAFKA_HOME is not set: unpack Apache Kafka and point KAFKA_HOME to its folder")
        self._bin = Path(home).resolve() / "bin"
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._cluster_id = new_cluster_id()
        self._environment = os.environ | {
            "LOG_DIR": str(folder / "logs"),
            "KAFKA_HEAP_OPTS": "-Xms512m -Xmx512m",
        }
        if brief:
            self._environment["KAFKA_OPTS"] = "-XX:TieredStopAtLevel=1"
        self.bootstrap_servers = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        config = self._folder / "server.properties"
        if not config.exists():
            self._format(config)
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "kafka-server-start.sh", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        wait_until_it_answers(self.bootstrap_servers, self._process)

    def stop(self) -> None:
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def member_died(self, group_id: str, client_id: str) -> None:
        """Its session times out."""

    def crash(self) -> None:
        """SIGKILL: what it had written stays, nothing is brought to an end."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _configure(self, properties: dict[str, object]) -> None:
        """Change the broker's properties, for one that differs."""

    def _users(self) -> list[str]:
        """Arguments that add SCRAM users."""
        return []

    def _format(self, config: Path) -> None:
        controller = f"127.0.0.1:{free_port()}"
        properties: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"CLIENT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": MIN_SESSION_TIMEOUT_MS,
            "metadata.max.idle.interval.ms": 0,  # half of what a broker takes while nothing happens
        }
        self._configure(properties)
        config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        storage = self._bin / "kafka-storage.sh"
        subprocess.run(
            [storage, "format", "-t", self._cluster_id, "-c", config, *self._users()],
            check=True,
            capture_output=True,
            env=self._environment,
        )


class DockerKafka:
    """Kafka from an image, by testcontainers."""

    kind = "docker"
    min_session_timeout_ms = MIN_SESSION_TIMEOUT_MS

    def __init__(self) -> None:
        if not docker_answers():
            pytest.skip("no Docker engine answers: start one, or set DOCKER_HOST to where it runs")
        from testcontainers.kafka import KafkaContainer

        self._container = KafkaContainer(KAFKA_IMAGE).with_kraft()
        for name, value in {
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": str(MIN_SESSION_TIMEOUT_MS),
        }.items():
            self._container.with_env(name, value)
        self.bootstrap_servers = ""

    def start(self) -> None:
        self._container.start(timeout=120)
        self.bootstrap_servers = self._container.get_bootstrap_server()
        wait_until_it_answers(self.bootstrap_servers)

    def stop(self) -> None:
        self._container.stop()

    def member_died(self, group_id: str, client_id: str) -> None:
        """Its session times out."""


class Address:
    """A broker that somebody else runs; tests only add topics and groups of their own."""

    kind = "address"
    min_session_timeout_ms = 6000

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def start(self) -> None:
        wait_until_it_answers(self.bootstrap_servers)

    def stop(self) -> None:
        """Not ours to stop."""

    def member_died(self, group_id: str, client_id: str) -> None:
        """Its session times out."""


def docker_answers() -> bool:
    from docker import from_env
    from docker.errors import DockerException

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker leaves its socket open when it fails
        with contextlib.suppress(DockerException):
            from_env().close()
            return True
        gc.collect()
    return False


def new_cluster_id() -> str:
    # The first byte is fixed: an id that began with "-" would be read as an option.
    return base64.urlsafe_b64encode(b"K" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def free_port(following: int = 0) -> int:
    """A port that nobody listens on, and so many after it that nobody listens on either."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            for number in range(port + 1, port + 1 + following):
                held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


def wait_until_it_answers(
    bootstrap_servers: str, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 120.0
) -> None:
    """Returns when the broker answers a metadata request; raises when it ends first or takes too long."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return outside_any_loop(_ask(bootstrap_servers))
        except BrokerError:
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                raise
            time.sleep(0.1)


def outside_any_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, also where the caller's thread already runs an event loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _ask(bootstrap_servers: str) -> None:
    async with connected(KafkaSettings(bootstrap_servers=bootstrap_servers)):
        pass


async def _leave_group(bootstrap_servers: str, group_id: str, client_id: str) -> None:
    async with connected(KafkaSettings(bootstrap_servers=bootstrap_servers)) as admin:
        for response in await admin.describe_consumer_groups([group_id]):
            for _, _, _, _, _, members, *_ in response.groups:
                for member_id, member_client, *_ in members:
                    if member_client == client_id:
                        await admin._send_request(LeaveGroupRequest(group_id, member_id))
