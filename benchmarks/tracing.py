"""What tracing costs a message: off, on, and on with a trace in each message.

    python -m benchmarks.tracing

Goes through the calls that the annotator makes for a poll of 500 messages of one partition, eight batches of
them and one commit. On, spans go to an exporter that drops them: sending is done by a thread of its own.
"""

import platform
import time
from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.console import Console
from rich.table import Table

from stream.annotate.ledger import Entry
from stream.annotate.tracing import NoTracing, OpenTelemetry, Tracing
from stream.records import Headers

MESSAGES: Final = 500
BATCH: Final = 64
ROUNDS: Final = 400
TRACED: Final = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


def entries(headers: Headers) -> list[Entry]:
    return [
        Entry(offset=n, timestamp_ms=0, key=None, value=b"", headers=headers, admitted_at=0.0)
        for n in range(MESSAGES)
    ]


def one_round(tracing: Tracing, taken: list[Entry]) -> None:
    tracing.received("messages", 0, taken, time.time_ns())
    for start in range(0, MESSAGES, BATCH):
        with tracing.batch("messages", taken[start : start + BATCH]):
            pass
    with tracing.publish("messages", 0, taken):
        pass


def nothing(taken: list[Entry]) -> None:
    """The loop alone, to take it off."""
    for start in range(0, MESSAGES, BATCH):
        taken[start : start + BATCH]


def microseconds(work: Callable[[], None]) -> float:
    """CPU time a message of this thread: the best of three, since the machine does other things too."""
    found = []
    for _ in range(3):
        started = time.thread_time()
        for _ in range(ROUNDS):
            work()
        found.append((time.thread_time() - started) / ROUNDS / MESSAGES * 1e6)
    return min(found)


def main() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    exporter.shutdown()  # takes spans and drops them
    provider.add_span_processor(BatchSpanProcessor(exporter))
    plain, traced = entries(()), entries(TRACED)
    loop = microseconds(lambda: nothing(plain))
    on, off = OpenTelemetry(provider), NoTracing()
    table = Table("tracing", "CPU µs a message", title=f"{platform.processor() or platform.machine()}")
    table.add_row("off", f"{microseconds(lambda: one_round(off, plain)) - loop:.3f}")
    table.add_row("on", f"{microseconds(lambda: one_round(on, plain)) - loop:.2f}")
    table.add_row("on, a trace in each message", f"{microseconds(lambda: one_round(on, traced)) - loop:.2f}")
    Console().print(table)
    on.close()


if __name__ == "__main__":
    main()
