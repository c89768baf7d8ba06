"""``emotion-stream demo``: watch messages being labelled, with nothing to set up."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import click

from stream.commands.options import Number, SettingsCommand, settings_options
from stream.sections import MappingSettings
from stream.settings import Settings

DEFAULT_RATE = 12.0
KEPT: Final = ("dashboard_port", "dashboard_hosts", "dashboard_token", "dashboard_try")
"""What the demo takes of the settings beside the cluster and the model: who reaches the page, and where."""
KEPT_WITH_A_FILE: Final = tuple(MappingSettings.model_fields)
"""And what says where the fields stand in messages of the user's own."""


@click.command(cls=SettingsCommand)
@click.option(
    "--messages",
    type=click.IntRange(1, 10_000_000),
    help="How many to send; beyond the last it begins again. [default: each once]",
)
@click.option(
    "--input",
    "input_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines to send instead of the demo's own messages.",
)
@click.option(
    "--rate",
    type=Number(min=0),
    default=DEFAULT_RATE,
    show_default=True,
    help="Messages a second; 0: as fast as they go.",
)
@click.option("--monitor/--no-monitor", default=True, show_default=True, help="Count and alert, too.")
@click.option("--dashboard/--no-dashboard", default=True, show_default=True, help="Serve the page, too.")
@settings_options("kafka", "model", "device", "precision", "dashboard_port")
def demo(
    messages: int | None,
    input_file: Path | None,
    rate: float,
    monitor: bool,
    dashboard: bool,
    settings: Settings,
) -> None:
    """Label messages live: starts a broker, an annotator, a monitor, the page and a stream of messages.

    At a terminal the page stays up at the end, until Ctrl-C; elsewhere the demo ends by itself.
    With --bootstrap-servers it runs on your cluster, in topics of its own that it deletes at the end.
    Text is published inside those topics (include_text), only so that you can read along. Of your settings
    it takes those of the cluster, the model and the page, author_key, and with --input where the fields
    stand; its alerts go to none of your receivers.
    """
    started_at = time.monotonic()
    # The rest is imported here, so that --help and a mistyped option answer at once.
    from rich.console import Console

    from stream.demo import feed, session, view
    from stream.scratch import scratch_cluster
    from stream.unwinding import unwind_on_signals

    records = feed.take(feed.messages_of(input_file) if input_file else feed.own_messages(), messages)
    console = Console()
    screen = view.LiveScreen(console) if console.is_terminal else view.LineScreen(console)

    def tell(scene: view.Scene) -> None:
        for line in view.summary(scene):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    async def linger(scene: view.Scene) -> None:
        if scene.page is not None and console.is_terminal:
            tell(scene)
            told.append(scene)
            invitation = f"The page stays up until Ctrl-C: {scene.page}"
            await session.until_stopped(lambda: console.print(invitation, markup=False, highlight=False))

    told: list[view.Scene] = []
    keep = (*KEPT, *KEPT_WITH_A_FILE) if input_file else KEPT
    unwind_on_signals()
    with scratch_cluster(settings, "demo", keep) as (in_force, broker):
        in_force_with_text = in_force.model_copy(update={"include_text": True})
        plan = session.Plan(in_force_with_text, records, rate, broker, monitor, dashboard, started_at)
        scene = asyncio.run(session.run(plan, screen, linger))
    if not told:
        tell(scene)
    if not scene.tally.exactly_once:
        sys.exit(1)
