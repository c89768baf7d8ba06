"""What a person sees of the demo: a live table on a terminal, plain lines elsewhere, a summary at the end.

Message text is shown as given, but on one line and without control characters, so that no message can
move the cursor or colour the screen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from model.contract import ModelInfo
from model.labels import LABELS
from stream.commands.lines import visible
from stream.demo.monitoring import MonitorView
from stream.demo.tally import DeadLettered, Labelled, Outcome, Tally
from stream.events import UNKNOWN
from stream.monitor.events import Alert

LABEL_STYLE: Final = {
    "sadness": "blue",
    "joy": "yellow",
    "love": "magenta",
    "anger": "red",
    "fear": "bright_magenta",
    "surprise": "cyan",
    "neutral": "dim",
    UNKNOWN: "dim italic",
}
DISTRESS_STYLE: Final = {"none": "dim", "watch": "", "elevated": "yellow", "high": "bold red"}
SIDE_WIDTH: Final = 38
BAR_WIDTH: Final = 14
NARROW: Final = 100
"""On terminals with fewer columns, the side panel goes below the table."""

LINE_WIDTH: Final = 140

PRIVACY_NOTE: Final = "Text is shown because the demo turns include_text on; elsewhere it is off by default."


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a picture is made from."""

    tally: Tally
    model: ModelInfo
    broker: str
    monitor: MonitorView
    page: str | None = None


class Screen(Protocol):
    """Where the demo shows itself."""

    def wait(self, reason: str) -> None:
        """Say what is being waited for, before there is a scene."""
        ...

    def open(self, scene: Scene) -> None: ...

    def outcome(self, outcome: Outcome) -> None:
        """A message has been labelled or dead-lettered."""
        ...

    def alert(self, alert: Alert) -> None:
        """The monitor has raised an alert."""
        ...

    def refresh(self, now: float) -> None:
        """Time has passed; called several times a second."""
        ...

    def close(self, now: float) -> None: ...


def one_line(text: str) -> str:
    """``text`` with white space folded into single spaces and control characters made visible as ``·``."""
    return visible(" ".join(text.split()))


@dataclass(slots=True)
class LiveScreen:
    """The table that a terminal shows, drawn by ``refresh`` alone, so never while the tally changes."""

    console: Console
    _live: Live | None = None
    _scene: Scene | None = None

    def wait(self, reason: str) -> None:
        self._draw(Text(reason, style="dim"))

    def open(self, scene: Scene) -> None:
        self._scene = scene

    def outcome(self, outcome: Outcome) -> None:
        """Drawn with the next refresh."""

    def alert(self, alert: Alert) -> None:
        """Drawn with the next refresh."""

    def refresh(self, now: float) -> None:
        if self._scene is not None:
            width, height = self.console.size
            self._draw(picture(self._scene, now, width=width, height=height))

    def close(self, now: float) -> None:
        self.refresh(now)
        if self._live is not None:
            self._live.stop()
        self._live = self._scene = None

    def _draw(self, what: RenderableType) -> None:
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        self._live.update(what, refresh=True)


@dataclass(slots=True)
class LineScreen:
    """One line an outcome, for pipes and logs."""

    console: Console

    def wait(self, reason: str) -> None:
        """Only what happens becomes a line."""

    def open(self, scene: Scene) -> None:
        self._print(header(scene))
        if scene.page is not None:
            self._print(f"page {scene.page}")

    def outcome(self, outcome: Outcome) -> None:
        match outcome:
            case Labelled():
                reading = f"{outcome.label:<8} {outcome.confidence:.2f} {outcome.distress:<8}"
                self._print(f"{reading} {one_line(outcome.channel):<12} {one_line(outcome.text)}")
            case DeadLettered():
                self._print(f"{'dead':<8} {'':4} {'':8} {'':12} {outcome.cause}: {outcome.error}")

    def alert(self, alert: Alert) -> None:
        self.console.print(f"ALERT    {alert_line(alert)}", markup=False, highlight=False, soft_wrap=True)

    def refresh(self, now: float) -> None:
        """Lines come with the outcomes."""

    def close(self, now: float) -> None:
        """Nothing is left open."""

    def _print(self, line: str) -> None:
        text = Text(line)
        text.truncate(LINE_WIDTH, overflow="ellipsis")
        self.console.print(text, no_wrap=True, crop=False)


def header(scene: Scene) -> str:
    """Model and broker in one line."""
    model = scene.model
    kind = f"{model.name} {model.revision[:12]}"
    return f"model {kind} on {model.device} ({model.precision}), broker {scene.broker}"


def picture(scene: Scene, now: float, *, width: int, height: int) -> RenderableType:
    """The whole live screen for a terminal of this size."""
    side = Group(*side_panels(scene, now))
    if width < NARROW:
        rows = max(3, height - 22)
        return Group(messages_panel(scene, rows), side)
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(width=SIDE_WIDTH)
    grid.add_row(messages_panel(scene, max(3, height - 6)), side)
    return grid


def messages_panel(scene: Scene, rows: int) -> RenderableType:
    """The latest outcomes, the newest at the bottom."""
    table = Table(expand=True, box=None, padding=(0, 1), header_style="bold")
    table.add_column("label", width=8)
    table.add_column("conf", width=4, justify="right")
    table.add_column("distress", width=8)
    table.add_column("channel", width=12, no_wrap=True)
    table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
    latest = list(scene.tally.recent)[-rows:]
    for outcome in latest:
        table.add_row(*_cells(outcome))
    for _ in range(rows - len(latest)):
        table.add_row()
    title = "emotion-stream" if scene.page is None else f"emotion-stream  {scene.page}"
    return Panel(table, title=Text(title), subtitle=Text(header(scene)), border_style="dim")


def _cells(outcome: Outcome) -> Iterable[Text]:
    match outcome:
        case Labelled():
            return (
                Text(outcome.label, style=LABEL_STYLE[outcome.label]),
                Text(f"{outcome.confidence:.2f}"),
                Text(outcome.distress, style=DISTRESS_STYLE[outcome.distress]),
                Text(one_line(outcome.channel), style="dim"),
                Text(one_line(outcome.text)),
            )
        case DeadLettered():
            blank = Text("")
            reason = Text(f"{outcome.cause}: {outcome.error}", style="dim italic")
            return Text("dead", style="bold"), blank, blank, blank, reason


def side_panels(scene: Scene, now: float) -> Iterable[RenderableType]:
    """Rate and lag, counts, dead letters, and what the monitor says."""
    tally = scene.tally
    flow = Table.grid(padding=(0, 2))
    flow.add_row("labelled", f"{tally.labels.total():,}")
    flow.add_row("rate", f"{tally.rate(now):,.0f} msg/s")
    flow.add_row("lag", f"{tally.lag:,} messages")
    flow.add_row("dead letters", f"{tally.causes.total():,}")
    yield Panel(flow, title="stream", border_style="dim")
    yield Panel(_bars(tally.labels), title="labels", border_style="dim")
    yield from _monitor_panels(scene.monitor)


def _bars(counts: dict[str, int]) -> Table:
    most = max(counts.values(), default=0) or 1
    table = Table.grid(padding=(0, 1))
    for label in _told(counts):
        count = counts.get(label, 0)
        bar = Text("█" * round(BAR_WIDTH * count / most), style=LABEL_STYLE[label])
        table.add_row(Text(label), Text(f"{count:,}", justify="right"), bar)
    return table


def _told(counts: Mapping[str, int]) -> Iterable[str]:
    """All labels, and that a text was in no measured language where one was."""
    return (*LABELS, UNKNOWN) if counts.get(UNKNOWN) else LABELS


def _monitor_panels(monitor: MonitorView) -> Iterable[RenderableType]:
    yield Panel(_counters(monitor), title=f"windows of {monitor.window_s} s", border_style="dim")
    if monitor.alerts:
        latest = sorted(monitor.alerts.values(), key=lambda alert: alert.updated_at)[-2:]
        yield Panel(Group(*map(Text, map(alert_line, latest))), title="alerts", border_style="bold red")


def _counters(monitor: MonitorView) -> RenderableType:
    if not monitor.windows:
        return Text(f"monitor: {monitor.status}", style="dim")
    table = Table.grid(padding=(0, 2))
    for start, counter in sorted(monitor.windows.items())[-3:]:
        most = sorted(counter.labels.items(), key=lambda item: -item[1])[:2]
        leading = ", ".join(f"{label} {count:,}" for label, count in most)
        table.add_row(f"{start:%H:%M}", f"{counter.messages:,}", Text(leading, style="dim"))
    return table


def alert_line(alert: Alert) -> str:
    """An alert as one line for people; of a pseudonym its beginning is enough to tell authors apart."""
    whom = f"author {alert.author[:8]}" if alert.author else f"channel {alert.channel}"
    return one_line(f"{alert.status} {alert.severity}, {alert.rule}, {whom}: {alert.summary}")


def summary(scene: Scene) -> list[str]:
    """What happened, as lines."""
    tally = scene.tally
    lines = [
        f"{len(tally.sent_at):,} messages sent: {tally.labels.total():,} labelled, "
        f"{tally.causes.total():,} dead-lettered",
        "labels: " + ", ".join(f"{label} {tally.labels[label]:,}" for label in _told(tally.labels)),
    ]
    if tally.causes:
        lines.append(
            "dead letters: " + ", ".join(f"{cause} {n}" for cause, n in sorted(tally.causes.items()))
        )
    if tally.first_label_s is not None:
        lines.append(f"first label after {tally.first_label_s:.1f} s")
    if latencies := tally.latencies_ms():
        lines.append("produce to labelled: p50 {:,.0f} ms, p95 {:,.0f} ms".format(*latencies))
    lines.append(_verdict(tally))
    lines += _monitored(scene.monitor)
    return [*lines, PRIVACY_NOTE]


def _monitored(monitor: MonitorView) -> list[str]:
    if not monitor.windows:
        return [f"monitor: {monitor.status}"]
    return [
        f"monitor: {monitor.counted:,} labelled messages counted, in windows of {monitor.window_s} s; "
        f"alerts: {len(monitor.alerts)}",
        *(f"  {alert_line(alert)}" for alert in monitor.alerts.values()),
    ]


def _verdict(tally: Tally) -> str:
    if tally.exactly_once:
        return "exactly once: every message has exactly one outcome"
    return f"NOT exactly once: {tally.missing:,} messages without an outcome, {tally.doubled:,} with several"
