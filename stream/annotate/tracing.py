"""Spans for OpenTelemetry, where the extra ``otel`` is installed and ``tracing`` is on.

    trace of a message ◄─ receive ◄─ batch ◄─ publish          ◄─ is a link
                                       └ infer (child)

A poll, a batch and a transaction each hold messages of many traces, so their spans link to what came before
instead of being its child (OpenTelemetry semantic conventions for messaging 1.44, "Batch"). Where spans go is
told by the standard ``OTEL_*`` variables. No message text, no key, no author, and of an error its kind alone:
what it says may quote a message.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from stream.annotate.ledger import Entry, Silent
from stream.errors import SettingsError
from stream.tracecontext import trace_headers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext

SERVICE: Final = "emotion-stream-annotator"
"""``service.name`` unless ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES`` give another."""

_MOST_LINKS = 128
"""What collectors take of a span; more are cut there without a word."""


class Tracing(Protocol):
    """Something that notes how long a step took, and for which messages."""

    def received(self, topic: str, partition: int, entries: Sequence[Entry], since_ns: int) -> None:
        """Messages of one partition were read and admitted, from ``since_ns`` (Unix time) until now."""
        ...

    def batch(self, topic: str, entries: Sequence[Entry]) -> AbstractContextManager[None]:
        """The block gives a batch to the model; it began to gather when the oldest of them was admitted."""
        ...

    def publish(self, topic: str, partition: int, entries: Sequence[Entry]) -> AbstractContextManager[None]:
        """The block publishes the outcomes of messages of one partition of ``topic``, in a transaction."""
        ...

    def close(self) -> None: ...


class NoTracing:
    """Notes nothing."""

    def received(self, topic: str, partition: int, entries: Sequence[Entry], since_ns: int) -> None:
        """Nothing to note."""

    @contextmanager
    def batch(self, topic: str, entries: Sequence[Entry]) -> Iterator[None]:  # noqa: ARG002
        yield

    @contextmanager
    def publish(self, topic: str, partition: int, entries: Sequence[Entry]) -> Iterator[None]:  # noqa: ARG002
        yield

    def close(self) -> None:
        """Nothing is open."""


class OpenTelemetry:
    """Spans through the OpenTelemetry SDK."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("emotion-stream")

    def received(self, topic: str, partition: int, entries: Sequence[Entry], since_ns: int) -> None:
        from opentelemetry.trace import SpanKind

        if not entries:
            return
        span = self._start(
            "receive",
            topic,
            entries,
            _traces(entries),
            kind=SpanKind.CONSUMER,
            start_time=since_ns,
            partition=partition,
        )
        span.end()
        for entry in entries:
            entry.span = span.get_span_context()

    @contextmanager
    def batch(self, topic: str, entries: Sequence[Entry]) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        waited_s = time.monotonic() - min(entry.admitted_at for entry in entries)
        span = self._start(
            "batch",
            topic,
            entries,
            _noted(entries),
            kind=SpanKind.CONSUMER,
            start_time=time.time_ns() - int(waited_s * 1e9),
        )
        for entry in entries:
            entry.span = span.get_span_context()
        with _current(span), _current(self._tracer.start_span(f"infer {topic}")):
            yield

    @contextmanager
    def publish(self, topic: str, partition: int, entries: Sequence[Entry]) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        links = _noted(entries)
        with _current(
            self._start("publish", topic, entries, links, kind=SpanKind.PRODUCER, partition=partition)
        ):
            yield

    def close(self) -> None:
        """Send what is still here."""
        self._provider.shutdown()

    def _start(
        self,
        step: str,
        topic: str,
        entries: Sequence[Entry],
        links: "Iterable[SpanContext]",
        *,
        partition: int | None = None,
        **options: Any,
    ) -> "Span":
        from opentelemetry.trace import Link

        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": step,
            "messaging.operation.type": {"receive": "receive", "batch": "process", "publish": "send"}[step],
            "messaging.destination.name": topic,
            "messaging.batch.message_count": len(entries),
        }
        if partition is not None:
            attributes["messaging.destination.partition.id"] = str(partition)
        return self._tracer.start_span(
            f"{step} {topic}", attributes=attributes, links=[Link(context) for context in links], **options
        )


@contextmanager
def _current(span: "Span") -> Iterator[None]:
    """Make the span the current one over the block, and end it; of an error it gets the kind."""
    from opentelemetry.trace import Status, StatusCode, use_span

    try:
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()


def _noted(entries: Sequence[Entry]) -> "list[SpanContext]":
    """The spans that messages were last noted in, each once."""
    found = {entry.span.span_id: entry.span for entry in entries if entry.span is not None}
    return list(found.values())[:_MOST_LINKS]


def _traces(entries: Sequence[Entry]) -> "list[SpanContext]":
    """The spans of producers that messages tell of, at most as many as a span may link to.

    Of a message whose author opted out there is no link.
    """
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator, found = TraceContextTextMapPropagator(), []
    for entry in entries:
        if entry.outcome is Silent.OPTED_OUT:
            continue
        carrier = {name: value.decode() for name, value in trace_headers(entry.headers, never=entry.names)}
        if carrier:
            context = trace.get_current_span(propagator.extract(carrier)).get_span_context()
            if context.is_valid:
                found.append(context)
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
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError("tracing needs the extra otel: pip install 'emotion-stream[otel]'") from error
    named = SERVICE_NAME in OTELResourceDetector().detect().attributes
    provider = TracerProvider(resource=Resource.create({} if named else {SERVICE_NAME: SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)
