"""``emotion-stream monitor``, ``alerts``, ``backtest`` and ``forget``."""

import asyncio
import heapq
import json
import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import TypeAdapter, ValidationError

from stream.commands.clients import broker_errors, chunks_until, consuming
from stream.commands.lines import cells, table_console, table_of, visible
from stream.commands.missing import missing_receivers
from stream.commands.options import SettingsCommand, settings_options
from stream.errors import InputFileError, SettingsError
from stream.events import DistressSignal, ShortText
from stream.monitor.board import Board, State
from stream.monitor.events import Review, Verdict
from stream.registry import open_registry
from stream.settings import Settings
from stream.username import user_name

_MONITOR = (
    *("kafka", "topics", "monitor", "observe"),
    *("count_window_s", "session_timeout_ms", "transaction_timeout_ms", "revoke_timeout_s"),
    *("start_timeout_s", "stall_timeout_s"),
)
_TOPICS = ("kafka", "topic_prefix")


@click.command(cls=SettingsCommand)
@click.option(
    "--check", is_flag=True, help="Try settings, rules, state folder, broker and topics; count nothing."
)
@settings_options(*_MONITOR)
def monitor(settings: Settings, check: bool) -> None:
    """Count labels in windows and raise alerts for people to review, until stopped.

    Start as many as there are partitions: they share the consumer group. Each needs a state folder of its
    own. Ends with a non-zero exit code, rather than idle, when a part of it fails.
    """
    if check:
        asyncio.run(_check(settings))
        return
    from stream.monitor.app import run

    asyncio.run(run(settings))


async def _check(settings: Settings) -> None:
    """Say what is there and what is missing; what stops a start ends it with its own error."""
    from stream.admin import check_topics
    from stream.monitor.app import refuse_unusable
    from stream.monitor.rulesfile import RulesFile

    refuse_unusable(settings.model_copy(update={"state_dir": _existing(settings.state_dir)}))
    rules = RulesFile(settings.rules_file, base_s=settings.count_window_s)
    active = [rule.name for rule in rules.rules.rules if rule.enabled]
    click.echo(f"rules    {', '.join(active) or 'none'} ({rules.path})")
    names = settings.topics
    needed = {names.counts, names.signals, names.counters, names.alerts, names.reviews, names.undelivered}
    counts = await check_topics(settings, needed)
    click.echo(f"broker   {settings.bootstrap_servers}")
    click.echo(f"topics   {', '.join(f'{name} ({counts[name]})' for name in sorted(counts))}")
    for line in missing_receivers(settings):
        click.echo(f"missing  {line}", err=True)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there: a start would make the rest, a check none."""
    return next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))


@click.group()
def alerts() -> None:
    """List and review alerts.

    An alert is a statistical signal for a person to review. What reviewers say is kept, and makes the
    precision of each rule.
    """


@alerts.command(name="list", cls=SettingsCommand)
@click.option("--state", type=click.Choice(get_args(State)))
@click.option("--rule", help="Only alerts of this rule.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object an alert.")
@settings_options(*_TOPICS)
def list_alerts(settings: Settings, state: str | None, rule: str | None, as_json: bool) -> None:
    """List alerts, the newest first, and the precision of the rules."""
    board = _board(settings)
    chosen = [
        alert
        for alert in board.alerts.values()
        if state in (None, board.state(alert)) and rule in (None, alert.rule)
    ]
    chosen.sort(key=lambda alert: alert.updated_at, reverse=True)
    if as_json:
        for alert in chosen:
            click.echo(json.dumps({**alert.model_dump(mode="json"), "state": board.state(alert)}))
        return
    table = table_of("state", "severity", "rule", "since", "about", "id")
    for alert in chosen:
        since = alert.starts_at.isoformat(timespec="seconds")
        about = alert.author or alert.conversation or alert.channel or "-"
        table.add_row(*cells(board.state(alert), alert.severity, alert.rule, since, about, alert.id))
    table_console().print(table)
    for name, precision in board.precision().items():
        low, high = precision.interval
        click.echo(
            f"precision of {visible(name)}: {precision.ratio or 0:.2f} "
            f"({precision.confirmed} of {precision.reviewed} confirmed; 95 % {low:.2f} to {high:.2f})"
        )


@alerts.command(cls=SettingsCommand)
@click.argument("alert_id")
@settings_options(*_TOPICS)
def show(settings: Settings, alert_id: str) -> None:
    """Print an alert with its evidence and its reviews, as JSON. The beginning of its id will do."""
    from stream.monitor.reviews import find

    board = _board(settings)
    alert = find(board, alert_id)
    reviews = [review.model_dump(mode="json") for review in board.reviews.get(alert.id, ())]
    value = {**alert.model_dump(mode="json"), "state": board.state(alert), "reviews": reviews}
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _short_text(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """What a review has room for."""
    try:
        return TypeAdapter[str | None](ShortText | None).validate_python(value)
    except ValidationError as error:
        raise click.BadParameter(error.errors(include_url=False)[0]["msg"]) from None


def _verdict_command(name: str, verdict: Verdict, summary: str) -> None:
    @alerts.command(name=name, cls=SettingsCommand, help=summary)
    @click.argument("alert_id")
    @click.option(
        "--reviewer",
        default=user_name,
        show_default="your user name",
        callback=_short_text,
        help="Who says so.",
    )
    @click.option("--note", callback=_short_text, help="Why; kept with the review.")
    @settings_options(*_TOPICS)
    def command(settings: Settings, alert_id: str, reviewer: str, note: str | None) -> None:
        from stream.monitor.reviews import review

        written = asyncio.run(review(settings, alert_id, verdict, reviewer=reviewer, note=note))
        click.echo(visible(f"{written.verdict} by {written.reviewer}: {written.alert_id}"))


_verdict_command("ack", "acknowledged", "Say that you look after an alert: reminders of it end.")
_verdict_command("confirm", "confirmed", "Say that an alert was right.")
_verdict_command("dismiss", "dismissed", "Say that an alert was wrong: it ends for its receivers.")


@click.command(cls=SettingsCommand)
@click.option(
    "--rules",
    "rules_files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Rules to try; given twice, side by side.",
)
@click.option("--from", "source", required=True, metavar="FILE|TOPIC", help="Recorded events.")
@click.option(
    "--reviews",
    type=click.Path(path_type=Path),
    help="Reviews as JSON lines. [default: those of the reviews topic]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object an alert, instead of a table.")
@settings_options(*_TOPICS, "registry", "count_window_s", "allowed_lateness_s", "judge_delay_s")
def backtest(
    settings: Settings, rules_files: tuple[Path, ...], source: str, reviews: Path | None, as_json: bool
) -> None:
    """Try alert rules on recorded events: what they would have raised, and how often.

    FILE holds labelled events or signals as JSON lines; TOPIC is one that holds them. The rules run in the
    very code of the monitor.
    """
    from stream.monitor.backtest import Backtest, read_events, read_reviews, replay
    from stream.monitor.counting import CountPolicy
    from stream.monitor.rulesfile import load_rules

    sets = {str(path): load_rules(path, base_s=settings.count_window_s) for path in rules_files}
    events: Iterable[DistressSignal]
    if _names_a_file(source):
        events, known = list(read_events(Path(source))), list[Review]()
    elif settings.bootstrap_servers is None or "/" in source:
        raise InputFileError(f"{source}: no such file; for a topic of that name set --bootstrap-servers")
    else:
        events, known = asyncio.run(_from_topic(settings, source))
    if reviews is not None:
        known = list(read_reviews(reviews))
    policy = CountPolicy(settings.count_window_s, settings.allowed_lateness_s, settings.judge_delay_s)
    results: dict[str, Backtest] = {name: replay(rules, events, policy) for name, rules in sets.items()}
    if as_json:
        for name, result in results.items():
            for alert in result.alerts:
                click.echo(json.dumps({"rules": name, **alert.model_dump(mode="json")}))
        return
    _print_backtests(results, known)


def _names_a_file(source: str) -> bool:
    """Whether events are to be read from a file: also one that cannot be reached, for that says why."""
    try:
        Path(source).stat()  # since Python 3.14, exists() hides why it cannot tell
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return "/" in source  # no topic has one in its name, which may be too long for a file's
    return True


def _print_backtests(results: dict[str, Any], reviews: list[Review]) -> None:
    console = table_console()
    for name, result in results.items():
        table = table_of("at", "severity", "rule", "about", "id", title=name)
        for alert in result.alerts:
            about = alert.author or alert.conversation or alert.channel or "-"
            at = alert.starts_at.isoformat(timespec="seconds")
            table.add_row(*cells(at, alert.severity, alert.rule, about, alert.id))
        console.print(table)
        console.print()
    table = table_of("", *results)
    rows: list[tuple[str, Any]] = [
        ("messages", lambda r: str(r.messages)),
        ("authors", lambda r: str(r.authors)),
        ("alerts", lambda r: str(len(r.alerts))),
        ("alerts a day", lambda r: f"{r.alerts_a_day:.2f}"),
        ("authors alerted, of 1,000", lambda r: f"{r.authors_alerted_per_thousand:.1f}"),
        ("precision where reviewed", lambda r: _precision_text(r.precision(reviews))),
    ]
    for title, cell in rows:
        table.add_row(title, *(cell(result) for result in results.values()))
    console.print(table)


def _precision_text(precision: Any) -> str:
    if precision.ratio is None:
        return "no reviews"
    low, high = precision.interval
    return f"{precision.ratio:.2f} of {precision.reviewed} ({low:.2f} to {high:.2f})"


async def _from_topic(settings: Settings, topic: str) -> tuple[list[DistressSignal], list[Review]]:
    """All events of a topic, by their time, and the reviews that there are."""
    from stream.admin import check_topics
    from stream.monitor.backtest import event_of
    from stream.monitor.reviews import current_board

    partitions = (await check_topics(settings, [topic]))[topic]
    by_partition: dict[int, list[DistressSignal]] = {}
    with broker_errors(settings):
        async with (
            consuming(settings, topic, partitions) as consumer,
            open_registry(settings) or nullcontext() as registry,
        ):
            ends = await consumer.end_offsets(consumer.assignment())
            async for chunk in chunks_until(consumer, ends):
                for record in chunk:
                    if record.value is not None:
                        where = f"{topic}, partition {record.partition}, offset {record.offset}"
                        value = await registry.read(record.value) if registry else record.value
                        by_partition.setdefault(record.partition, []).append(event_of(value, where))
    board = await current_board(settings)
    reviews = [review for several in board.reviews.values() for review in several]
    return list(heapq.merge(*by_partition.values(), key=lambda event: event.ts)), reviews


@click.command(cls=SettingsCommand)
@click.argument("author", required=False)
@click.option("--pseudonym", help="Forget by pseudonym, where the author's name or the key is not at hand.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings_options(*_TOPICS, "privacy", "transaction_timeout_ms")
def forget(settings: Settings, author: str | None, pseudonym: str | None, yes: bool) -> None:
    """Forget an author: opt them out, and delete their state and the alerts about them.

    AUTHOR is the author as in the messages. Deleting waits for transactions of annotators that are open, for
    transaction_timeout_ms. docs/privacy.md says what stays, where and how long.
    """
    from stream.monitor.reviews import checked_pseudonym, pseudonym_of

    if pseudonym is not None and author is None:
        name = checked_pseudonym(pseudonym)
    elif author is not None and pseudonym is None:
        name = pseudonym_of(settings, author)
    else:
        raise SettingsError("whom to forget: give either AUTHOR or --pseudonym")
    if not yes:
        click.confirm(f"Forget {name} for good?", abort=True)
    alerts_deleted = asyncio.run(_forget(settings, name))
    click.echo(f"forgotten: {name} is opted out; state deleted; {alerts_deleted} alerts deleted")


async def _forget(settings: Settings, name: str) -> int:
    """What annotators had taken before they knew of the opt-out is published first, or it would stay."""
    from stream.monitor.reviews import forget as delete
    from stream.monitor.reviews import opt_out

    await opt_out(settings, name)
    wait_s = settings.transaction_timeout_ms / 1000
    click.echo(f"{name} is opted out; what is known of them is deleted in {wait_s:g} s", err=True)
    await asyncio.sleep(wait_s)
    return await delete(settings, name)


def _board(settings: Settings) -> Board:
    from stream.monitor.reviews import current_board

    return asyncio.run(current_board(settings))
