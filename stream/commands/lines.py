"""What people see: one coloured line a record, and tables.

The events are plain dictionaries as they came: a field that is missing or new must not end the watching.
What comes from a stream or a file is shown by ``visible``, so that nothing in it can move the cursor, colour
the screen or reach the clipboard.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

Event = Mapping[str, Any]

COLOURS: Final = {
    "sadness": "blue",
    "joy": "yellow",
    "love": "magenta",
    "anger": "red",
    "fear": "cyan",
    "surprise": "green",
    "neutral": "white",
}
SEVERITY_COLOURS: Final = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_WIDE: Final = 240
JOINER: Final = "\N{ZERO WIDTH JOINER}"
"""Not printable by itself, but what makes a family of three people one emoji."""
LEVEL_COLOURS: Final = {"watch": "yellow", "elevated": "dark_orange", "high": "bold red"}


def visible(text: str) -> str:
    """``text`` with control characters, escape codes among them, made visible as ``·``."""
    if text.isprintable():
        return text
    shown = (" " if one.isspace() else one if one.isprintable() or one == JOINER else "·" for one in text)
    return "".join(shown)


def table_of(*headings: str, title: str | None = None) -> Table:
    """A table without a frame, to be filled with ``cells``."""
    above = None if title is None else Text(visible(title))
    table = Table(box=None, pad_edge=False, title=above, title_justify="left")
    for heading in cells(*headings):
        table.add_column(heading)
    return table


def cells(*texts: str) -> Iterable[Text]:
    """The cells of a row, in which nothing is read as markup."""
    return (Text(visible(text)) for text in texts)


def emotion(event: Event) -> Text:
    """Time, label, confidence, distress if any, channel, author, place, and the text if it is published."""
    line = _labelled(event)
    _add(line, _place(event), "dim")
    if event.get("text") is not None:
        _add(line, event["text"])
    return line


def signal(event: Event) -> Text:
    """As ``emotion``, with the phrase lists that matched."""
    line = _labelled(event)
    for phrase in event.get("phrases", ()):
        _add(line, f"phrase:{phrase}", "bold")
    _add(line, _place(event), "dim")
    return line


def count(event: Event) -> Text:
    """The channel, and for each window its labels."""
    source = event.get("source", {})
    line = Text(visible(f"{event.get('channel', '?'):<16}"))
    _add(
        line,
        f"{source.get('topic')}/{source.get('partition')} "
        f"{source.get('first_offset')}-{source.get('last_offset')}",
        "dim",
    )
    for window in event.get("windows", ()):
        _add(line, _clock(window.get("start")), "dim")
        _add_counts(line, window)
    return line


def counter(event: Event) -> Text:
    """The channel, the window and what it holds."""
    line = Text(visible(f"{event.get('channel', '?'):<16}"))
    _add(line, f"{_clock(event.get('start'))} {event.get('window_s', '?')} s", "dim")
    _add(line, f"{event.get('messages', '?')} messages")
    _add_counts(line, event)
    return line


def alert(event: Event) -> Text:
    """When it changed, severity, status, rule, whom it is about, and its summary."""
    severity, status = str(event.get("severity", "?")), str(event.get("status", "?"))
    line = _at(event.get("updated_at"))
    _add(line, f"{severity:<8}", SEVERITY_COLOURS.get(severity, ""))
    _add(line, f"{status:<8}", "bold" if status == "firing" else "dim")
    _add(line, f"{event.get('rule', '?'):<16}")
    _add(line, str(event.get("author") or event.get("channel") or "-")[:16], "dim")
    _add(line, event.get("summary", ""))
    return line


def review(event: Event) -> Text:
    """When, what was said of which alert, and by whom."""
    line = _at(event.get("at"))
    _add(line, f"{event.get('verdict', '?'):<12}", "bold")
    _add(line, event.get("alert_id", "?"))
    _add(line, f"by {event.get('reviewer', '?')}", "dim")
    if event.get("note"):
        _add(line, event["note"])
    return line


def dead_letter(event: Event) -> Text:
    """Time, cause, place and size, error; what was received only where it was asked for."""
    line = _at(event.get("failed_at"))
    _add(line, f"{event.get('cause', '?'):<14}", "red")
    _add(line, _place(event), "dim")
    _add(line, f"{event.get('bytes', '?')} bytes", "dim")
    _add(line, event.get("error", ""))
    for name in ("value", "value_base64"):
        if name in event:
            _add(line, event[name], "italic")
    return line


def fields(event: Event) -> Text:
    """Any event, as its fields."""
    line = Text()
    for name, value in event.items():
        if value not in (None, "", [], {}):
            line.append(visible(f"{name}="), "dim")
            line.append(visible(f"{value} "), COLOURS.get(str(value), ""))
    return line


def deleted(event: Event) -> Text:
    """A tombstone: the key has no value any more."""
    return Text(visible(f"{event.get('key')} deleted"), "dim")


LINES: Final[dict[str, Callable[[Event], Text]]] = {
    "emotions": emotion,
    "signals": signal,
    "counts": count,
    "counters": counter,
    "alerts": alert,
    "reviews": review,
    "undelivered": fields,
    "dlq": dead_letter,
}


def table_console() -> Console:
    """Where tables go: off a terminal wide enough that no cell is cut for whatever reads them."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def _labelled(event: Event) -> Text:
    label = str(event.get("label", "?"))
    line = _at(event.get("ts"))
    _add(line, f"{label:<8}", COLOURS.get(label, ""))
    _add(line, f"{event.get('confidence', 0):.2f}")
    level = (event.get("distress") or {}).get("level", "none")
    _add(line, f"{'' if level == 'none' else level:<8}", LEVEL_COLOURS.get(level, ""))
    _add(line, f"{event.get('channel') or '-':<12}")
    _add(line, f"{(event.get('author') or '-')[:8]:<8}", "dim")
    return line


def _add_counts(line: Text, window: Event) -> None:
    for label, number in window.get("labels", {}).items():
        _add(line, f"{label} {number}", COLOURS.get(label, ""))
    for kind in ("unknown", "opted_out", "dead_lettered", "tombstones"):
        if window.get(kind):
            _add(line, f"{kind} {window[kind]}", "dim")


def _place(event: Event) -> str:
    source = event.get("source", {})
    return f"{source.get('topic')}/{source.get('partition')}@{source.get('offset')}"


def _at(moment: Any) -> Text:
    """A new line, begun with a time."""
    return Text().append(visible(_clock(moment)), "dim")


def _clock(moment: Any) -> str:
    """Hours to seconds of an ISO 8601 time in UTC."""
    return str(moment)[11:19] if moment else "--:--:--"


def _add(line: Text, text: str, style: str = "") -> None:
    line.append("  ").append(visible(text), style)
