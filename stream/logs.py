"""Log lines of every program, ours and those of the libraries, on stderr as text or as JSON.

    log = structlog.get_logger()
    log.info("partition fenced", topic=topic, partition=partition, offset=offset)

Lines carry topic, partition, offset and counts, never what people wrote nor who they are: fields with
such names are withheld even where a caller passes them, and exceptions are written without local variables.
aiokafka and Faust log through the standard library, which is routed through the same processors.
"""

import logging
import sys
import time
from typing import Final, Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error", "critical"]
Style = Literal["text", "json"]

WITHHELD: Final = frozenset({"author", "body", "headers", "message", "messages", "text", "texts", "value"})
"""Names of fields that could hold message text or a person; their values never reach a log line."""

REPEAT_INTERVAL_S: Final = 10.0
"""How often the same line of a library is written; while a broker is away, aiokafka has some 30 a second."""

_MALFORMED: Final = "aiohttp.http_exceptions"
"""Where aiohttp has its errors of requests. Named, since loading it takes longer than a short command may."""

_LIBRARIES: Final = ("aiokafka", "aiohttp", "asyncio", "faust", "mode")


def configure(style: Style, level: Level, *, libraries: Level | None = None) -> None:
    """Send every log line of at least ``level`` to stderr in this style. May be called again.

    ``libraries`` is the level for aiokafka, Faust and what they stand on: warnings by default, and with
    ``level`` debug what they do. Never their debug lines: aiokafka writes each record's value there.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Stderr()
    handler.addFilter(Repeats())
    handler.addFilter(without_request)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel((libraries or _quieter(level)).upper())


class Repeats(logging.Filter):
    """Lets each line of a library's code speak once an interval, and says how often it was left out."""

    def __init__(self, interval_s: float = REPEAT_INTERVAL_S) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._spoken_at: dict[tuple[str, int], float] = {}
        self._left_out: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._spoken_at.get(place, float("-inf")) < self._interval_s:
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return False
        self._spoken_at[place] = now
        if left_out := self._left_out.pop(place, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it)", ()
        return True


def without_request(record: logging.LogRecord) -> bool:
    """Leave aiohttp's complaint of a request that is none on one line: its trace quotes the request, and a
    header that is too long may be somebody's token.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and type(error).__module__ == _MALFORMED:
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values that could hold message text or a person; a number holds neither."""
    for name in WITHHELD & event.keys():
        if not isinstance(event[name], int | float):
            event[name] = "withheld"
    return event


def _quieter(level: Level) -> Level:
    return {"debug": "info", "info": "warning"}.get(level, level)  # type: ignore[return-value]  # both are levels


def _renderers(style: Style) -> list[Processor]:
    if style == "json":
        exceptions = ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(exceptions),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the time of the line, not at the time of the set-up."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Fixed: assigned by the base class only."""
