"""``emotion-stream annotate``: the annotator, and its check before a start."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from stream import sources
from stream.commands.missing import check_access, missing
from stream.commands.options import SettingsCommand, settings_options
from stream.inputs import Inputs
from stream.reloading import hold_reload
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.annotate.shares import Share

_log = structlog.get_logger(__name__)


@click.command(cls=SettingsCommand)
@click.option("--check", is_flag=True, help="Try settings, lists, model, broker and topics; label nothing.")
@click.option(
    "--worker", type=int, hidden=True, help="Which of several workers this is; set by their parent."
)
@settings_options("kafka", "topics", "mapping", "registry", "annotate", "privacy", "observe")
def annotate(settings: Settings, check: bool, worker: int | None) -> None:
    """Label the messages of the input topics, until stopped.

    Labelled events, count deltas, distress signals, dead letters and the consumer's offsets are written in
    one transaction. Start as many as there are partitions: they share the consumer group. SIGTERM and
    Ctrl-C finish what is in flight first; SIGHUP loads the model anew.
    """
    # Imported here, so that --help and a mistyped option answer at once.
    from stream.annotate.shares import is_shared

    if check:
        asyncio.run(_check(settings))
        return
    hold_reload()
    if worker is None and is_shared(settings):
        sys.exit(asyncio.run(_supervise(settings)))
    else:
        from stream.annotate.process import run

        if worker is not None:
            structlog.contextvars.bind_contextvars(worker=worker)
        asyncio.run(run(settings, supervised=worker is not None))


async def _supervise(settings: Settings) -> int:
    """Start and watch the workers; what would stop each of them stops it here, with the same error."""
    from stream.annotate.supervisor import supervise, worker_command
    from stream.stopping import on_stop

    planning = asyncio.create_task(_planned_shares(settings))
    on_stop(planning.cancel)
    try:
        shares = await planning
    except asyncio.CancelledError:
        _log.info("stopped before a worker was started")
        return 0
    return await supervise(settings, shares, worker_command(_given_flags()))


async def _planned_shares(settings: Settings) -> "tuple[Share, ...]":
    """Each worker's share of the machine, once the cluster has what they need.

    What is wrong with settings or models is said first: a person who waits for brokers may as well mend it.
    """
    from model.loading import usable_cores
    from stream.annotate.cluster import check_cluster
    from stream.annotate.shares import doubts, shares_of
    from stream.classifier import check_models
    from stream.kafka import connection
    from stream.starting import answered

    connection(settings)
    cores = usable_cores()
    shares = shares_of(settings, cores)
    inputs = Inputs.of(settings)
    await asyncio.to_thread(check_models, settings)
    _log.info(
        "looking at the cluster before workers are started", bootstrap_servers=settings.bootstrap_servers
    )
    # A stop cancels us.
    counts = await answered(settings, asyncio.Event(), lambda: check_cluster(settings)) or {}
    partitions = sum(count for name, count in counts.items() if name in inputs)
    for doubt in doubts(settings, shares, partitions=partitions, cores=cores):
        _log.warning(doubt)
    return shares


def _given_flags() -> list[str]:
    """The options of settings as they were given to this command; other sources a worker reads itself."""
    flags = []
    for name, value in click.get_current_context().params.items():
        if value is None or (name not in Settings.model_fields and name != "config"):
            continue
        flag = sources.flag_name(name)
        if isinstance(value, bool):
            flags.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            flags.append(f"{flag}={Path(value).absolute() if name == 'config' else value}")
    return flags


async def _check(settings: Settings) -> None:
    """Say what is there and what is missing; what stops a start ends it with its own error."""
    from model.loading import usable_cores
    from stream.annotate.app import Annotator
    from stream.annotate.cluster import check_cluster
    from stream.annotate.models import ready_model, ready_shadow
    from stream.annotate.shares import is_shared, shares_of
    from stream.kafka import connection
    from stream.registry import open_registry

    connection(settings)
    check_access(settings)
    model, shadow = ready_model(settings), ready_shadow(settings)
    Annotator(settings, model, shadow=shadow)  # refuses what the start would: lists, mapping, tracing
    inputs, partitions = Inputs.of(settings), await check_cluster(settings)
    shares = shares_of(settings, usable_cores())
    if registry := open_registry(settings):
        async with registry:
            await registry.check()
    click.echo(f"broker   {settings.bootstrap_servers}")
    click.echo(f"topics   {', '.join(f'{name} ({partitions[name]})' for name in sorted(partitions))}")
    if registry:
        click.echo(f"registry {', '.join(registry.hosts)}")
    if is_shared(settings):
        click.echo(f"workers  {len(shares)} on {', '.join(dict.fromkeys(share.device for share in shares))}")
    click.echo(f"model    {model.info.name} {model.info.revision} on {model.info.device}")
    if shadow:
        click.echo(f"shadow   {shadow.info.name} {shadow.info.revision} on {shadow.info.device}")
    if not any(name in inputs for name in partitions):
        click.echo(f"missing  no topic matches input_pattern ({inputs}) yet", err=True)
    for line in missing(settings):
        click.echo(f"missing  {line}", err=True)
