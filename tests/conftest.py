"""Fixtures of all tests: a broker, settings with fresh names, topics; and nothing of the person's own set-up.

pytest                          on Apache Kafka where KAFKA_HOME is set, on the embedded broker where not
pytest --kafka=docker           also: embedded, apache, address:HOST:PORT, or a list by commas

What both brokers promise alike (marked every_broker) is tested on the embedded one beside Apache Kafka, too.
"""

import contextlib
import functools
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog
from aiokafka.admin import NewTopic

from stream.admin import connected, create_topics
from stream.schemas import topic_of
from stream.settings import Settings
from stream.unpacking import bound_unpacking
from tests.brokers import ApacheKafka, Broker, broker_of_kind, is_real, kinds_of

if TYPE_CHECKING:
    from tests.secure_kafka import SecureKafka

# How fast a machine is says nothing about the code: no example is failed by its time.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")

MakeSettings = Callable[..., Settings]
Topics = Callable[..., Awaitable[Settings]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kafka",
        default="auto",
        help="brokers to test against, by commas: embedded, apache (from KAFKA_HOME), docker, "
        "address:HOST:PORT; auto: apache where KAFKA_HOME is set, and for some tests embedded",
    )
    parser.addoption(
        "--crash-seed",
        type=int,
        default=secrets.randbelow(10**6),
        help="repeat the crash tests with the moments of an earlier run; its header shows the seed",
    )


def pytest_report_header(config: pytest.Config) -> str:
    kinds = kinds_of(config.getoption("--kafka"))
    hint = "" if any(map(is_real, kinds)) else " (a real one: set KAFKA_HOME, or --kafka=docker)"
    return f"kafka: {', '.join(kinds)}{hint}; crash seed: {config.getoption('--crash-seed')}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" in metafunc.fixturenames:
        kinds = kinds_of(metafunc.config.getoption("--kafka"), _wants_every(metafunc))
        marked = [pytest.param(kind, marks=[pytest.mark.kafka] if is_real(kind) else []) for kind in kinds]
        metafunc.parametrize("broker", marked, indirect=True)


def _wants_every(metafunc: pytest.Metafunc) -> bool:
    return metafunc.definition.get_closest_marker("every_broker") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: without a broker, on the embedded one, on real ones; those that kill, last."""
    items.sort(key=_slowness)


def _slowness(item: pytest.Item) -> tuple[bool, bool, bool]:
    crashes = item.get_closest_marker("crash") is not None
    needs_broker = "broker" in getattr(item, "fixturenames", ())
    needs_kafka = item.get_closest_marker("kafka") is not None
    # Within the crashes the real brokers come first: they are still up from the tests before.
    return crashes, needs_broker, needs_kafka != crashes


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Broker]]:
    """A running broker of each kind, started when a test first asks for it and kept for the whole session."""
    with contextlib.ExitStack() as at_the_end:

        @functools.cache
        def of_kind(kind: str) -> Broker:
            broker = broker_of_kind(kind, tmp_path_factory.mktemp("broker"))
            try:
                broker.start()
            except BaseException:
                broker.stop()  # the next test that asks starts another
                raise
            at_the_end.callback(broker.stop)
            return broker

        yield of_kind


@pytest.fixture
def broker(request: pytest.FixtureRequest, brokers: Callable[[str], Broker]) -> Broker:
    """A running broker; the test runs once for each that ``--kafka`` names."""
    return brokers(request.param)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[ApacheKafka]:
    """Apache Kafka for one test alone, which may kill it: a shared one has all tests' logs to recover."""
    folder = tmp_path / "mortal"
    folder.mkdir()
    broker = ApacheKafka(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SecureKafka"]:
    """An Apache Kafka that wants TLS and a login and grants rights by name, one for the whole session."""
    from tests.secure_kafka import SecureKafka

    broker = SecureKafka(tmp_path_factory.mktemp("secure"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, nor an earlier run on the same broker: for topics and groups."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name).strip("-")[:80]
    return f"{readable}-{secrets.token_hex(4)}"


@pytest.fixture
def make_settings(broker: Broker, unique_name: str) -> MakeSettings:
    """Make settings that point at the broker, with topics and a group of this test's own.

    Called twice, it names the same topics: two annotators of one group are two calls.
    """

    def make(**overrides: Any) -> Settings:
        values: dict[str, Any] = {
            "bootstrap_servers": broker.bootstrap_servers,
            "input_topic": f"{unique_name}.messages",
            "topic_prefix": f"{unique_name}.emotions",
            "group_id": f"{unique_name}.group",
            "partitions": 4,
            "model": "fake",
            "author_key": "a key for the tests",
        }
        return Settings(**values | overrides)

    return make


@pytest.fixture
def topics(make_settings: MakeSettings) -> Topics:
    """Like ``make_settings``, and the topics exist: ``settings = await topics(partitions=2)``."""

    async def make(**overrides: Any) -> Settings:
        settings = make_settings(**overrides)
        await create_topics(settings)
        return settings

    return make


@pytest.fixture
def configured(make_settings: MakeSettings, broker: Broker) -> Topics:
    """Topics of one partition, some configured: ``await configured(messages={"max.message.bytes": 1000})``.

    Settings come as a dictionary before. Only a real broker holds itself to the configuration.
    """
    if broker.kind == "embedded":
        pytest.skip("the embedded broker takes any time stamp and size")

    async def make(overrides: dict[str, Any] | None = None, **config: dict[str, object]) -> Settings:
        settings = make_settings(partitions=1, **overrides or {})
        names = {topic_of(settings, name): values for name, values in config.items()}
        async with connected(settings) as admin:
            await admin.create_topics(
                [NewTopic(name, 1, 1, topic_configs=values) for name, values in names.items()]
            )
        await create_topics(settings, [spec for spec in settings.topic_specs() if spec.name not in names])
        return settings

    return make


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting comes from the person's environment or from a file in the folder where pytest runs."""
    for name in os.environ:
        if name.startswith("EMOTION_") and name != "EMOTION_DATA":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unpacking_as_before() -> Iterator[None]:
    """For tests that bound what batches unpack to: the bound is of the whole process."""
    yield
    bound_unpacking()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Whatever a test does to the logging of its process, the next one finds it as it was."""
    names = [None, "aiokafka", "aiohttp", "asyncio", "faust", "mode"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = logging.getLogger().handlers
    yield
    for logger, level in before:
        logger.setLevel(level)
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


@pytest.fixture
def full_disk() -> Iterator[int]:
    """A file that takes no byte, as on a full disk."""
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip(f"there is no {device} to write to")
    with device.open("wb") as full:
        yield full.fileno()
