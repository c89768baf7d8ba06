"""Spans link to the traces of their messages and hold none of their content."""

import pytest

from stream.annotate.ledger import Entry
from stream.annotate.tracing import NoTracing, OpenTelemetry, open_tracing

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def entry(*headers: tuple[str, bytes]) -> Entry:
    return Entry(offset=0, timestamp_ms=0, key=b"kim", value=b"between us", headers=headers, admitted_at=0.0)


def test_a_batch_links_to_the_traces_of_its_messages() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = OpenTelemetry(provider)
    traced = entry(("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode()))
    with tracing.span("infer", "messages", [traced, entry(), entry(("traceparent", b"nonsense"))]):
        pass
    [span] = exporter.get_finished_spans()
    assert span.name == "infer messages"
    assert [format(link.context.trace_id, "032x") for link in span.links] == [TRACE_ID]
    assert (span.attributes or {})["messaging.batch.message_count"] == 3
    assert "between us" not in span.to_json()
    assert "kim" not in span.to_json()


def test_nothing_is_traced_unless_asked_for() -> None:
    assert isinstance(open_tracing(enabled=False), NoTracing)
