"""Spans for OpenTelemetry, where the extra ``otel`` is installed and ``tracing`` is on.

A batch holds messages of many traces, so its span links to them instead of being their child (OpenTelemetry
semantic conventions for messaging 1.44, "Batch"). Where spans go is told by the standard ``OTEL_*``
variables. No message text, no author.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from stream.annotate.ledger import Entry
from stream.errors import SettingsError
from stream.tracecontext import trace_headers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link

_MOST_LINKS = 128
"""What collectors take of a span; more are cut there without a word."""


class Tracing(Protocol):
    """Something that notes how long a step took, and for which messages."""

    def span(self, name: str, topic: str, entries: Sequence[Entry]) -> AbstractContextManager[None]: ...

    def close(self) -> None: ...


class NoTracing:
    """Notes nothing."""

    @contextmanager
    def span(self, name: str, topic: str, entries: Sequence[Entry]) -> Iterator[None]:  # noqa: ARG002
        yield

    def close(self) -> None:
        """Nothing is open."""


class OpenTelemetry:
    """Spans through the OpenTelemetry SDK."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("emotion-stream")

    @contextmanager
    def span(self, name: str, topic: str, entries: Sequence[Entry]) -> Iterator[None]:
        """A span over the block, linked to the traces of ``entries``."""
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.batch.message_count": len(entries),
        }
        with self._tracer.start_as_current_span(
            f"{name} {topic}", links=_links(entries), attributes=attributes
        ):
            yield

    def close(self) -> None:
        """Send what is still here."""
        self._provider.shutdown()


def _links(entries: Sequence[Entry]) -> "list[Link]":
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator, found = TraceContextTextMapPropagator(), []
    for entry in entries:
        carrier = {name: value.decode() for name, value in trace_headers(entry.headers, never=entry.names)}
        if carrier:
            context = trace.get_current_span(propagator.extract(carrier)).get_span_context()
            if context.is_valid:
                found.append(trace.Link(context))
        if len(found) == _MOST_LINKS:
            break
    return found


def open_tracing(enabled: bool) -> Tracing:
    """Tracing as the settings ask for it.

    Raises:
        SettingsError: it is asked for and the extra is not installed.
    """
    if not enabled:
        return NoTracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError("tracing needs the extra otel: pip install 'emotion-stream[otel]'") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)
