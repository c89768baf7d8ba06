"""The monitor, started: with its receivers of alerts and its web server, from nothing but settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

import structlog

from stream.admin import check_topics
from stream.errors import SettingsError
from stream.lastresort import LastResort, stop_limit_s
from stream.monitor.alertmanager import Alertmanager
from stream.monitor.changelogs import prepare_changelogs, warn_of_retention
from stream.monitor.monitor import Monitor
from stream.monitor.owned import discard_old_files
from stream.monitor.rulesfile import RulesFile
from stream.monitor.targets import check_receivers
from stream.monitor.web import MonitorWeb
from stream.monitor.webhook import Webhook
from stream.serving import Access, serving
from stream.settings import Settings
from stream.starting import answered
from stream.stopping import on_stop

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A monitor that runs, and the port of its web server, where it has one."""

    monitor: Monitor
    port: int | None


def refuse_unusable(settings: Settings) -> None:
    """Say what no broker is needed for to find it wrong: nobody should wait for brokers to hear of it.

    Raises:
        SettingsError: of the rules, the receivers of alerts, the web server or the folder of the state.
    """
    RulesFile(settings.rules_file, base_s=settings.count_window_s)
    check_receivers(settings)
    if settings.http_port is not None:
        Access.of(settings)
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.state_dir):
            pass
    except OSError as error:
        raise SettingsError(
            f"{settings.state_dir} cannot hold the state ({error.strerror}): set state_dir to a folder that "
            "can be written to"
        ) from error


async def topics_ready(settings: Settings) -> dict[str, int]:
    """Partitions of the topics that a monitor needs, its changelogs among them, which it makes.

    Raises:
        BrokerError, TopicError: they could not be looked at, or made; or one is missing.
    """
    names = settings.topics
    needed = {names.counts, names.signals, names.counters, names.alerts, names.reviews}
    if settings.webhook_url:
        needed.add(names.undelivered)
    partitions = await check_topics(settings, needed)
    await prepare_changelogs(settings, {name: partitions[name] for name in (names.counts, names.signals)})
    return partitions


@asynccontextmanager
async def running(settings: Settings, partitions: dict[str, int] | None = None) -> AsyncIterator[Running]:
    """A monitor that runs, and is stopped at the end. ``partitions`` are as ``topics_ready`` has found them,
    after ``refuse_unusable``.

    Raises:
        SettingsError, BrokerError, TopicError: it could not be started.
    """
    if partitions is None:
        refuse_unusable(settings)
        partitions = await topics_ready(settings)
    rules = RulesFile(settings.rules_file, base_s=settings.count_window_s)
    monitor = Monitor(settings, partitions, rules)
    receivers = _receivers(settings, monitor)
    discard_old_files(settings)
    await warn_of_retention(settings)
    async with AsyncExitStack() as stack:
        port = await _serve(settings, monitor, stack)
        stack.push_async_callback(monitor.stop)
        monitor.start()
        for receiver in receivers:
            monitor.spawn(type(receiver).__name__.lower(), _deliver(receiver, monitor.tail.caught_up))
        yield Running(monitor, port)


async def run(settings: Settings) -> None:
    """Run a monitor until SIGTERM or SIGINT.

    Raises:
        StreamError: it could not start, or a part of it failed.
    """
    refuse_unusable(settings)
    stopped = asyncio.Event()
    on_stop(stopped.set)
    partitions = await answered(settings, stopped, lambda: topics_ready(settings))
    if partitions is None:
        return
    async with running(settings, partitions) as started:
        _log.info("monitor started", group_id=settings.monitor_group_id, port=started.port)
        try:
            await started.monitor.run_until(stopped)
        finally:
            _log.info("monitor stops")
            LastResort(stop_limit_s(settings.revoke_timeout_s)).begin(started.monitor.failure)


def _receivers(settings: Settings, monitor: Monitor) -> list[Webhook | Alertmanager]:
    receivers: list[Webhook | Alertmanager] = []
    if settings.webhook_url:
        receivers.append(Webhook(settings, monitor.board, monitor.tail, monitor.metrics))
    if settings.alertmanager_url:
        receivers.append(Alertmanager(settings, monitor.board, monitor.metrics, monitor.changed))
    return receivers


async def _deliver(receiver: Webhook | Alertmanager, board_is_current: asyncio.Event) -> None:
    """Half read, the board does not know what has ended, or was dismissed or forgotten."""
    await board_is_current.wait()
    await receiver.run()


async def _serve(settings: Settings, monitor: Monitor, stack: AsyncExitStack) -> int | None:
    if settings.http_port is None:
        return None
    return await stack.enter_async_context(serving(settings, MonitorWeb(monitor).routes))
