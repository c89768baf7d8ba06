"""Spans follow a message by links from its producer to its commit, and hold none of its content.

The receiver is a real one: it takes OTLP over HTTP and reads the protocol's own messages.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from model.fake import FakeClassifier
from stream.annotate.app import Annotator
from stream.annotate.ledger import Entry, Silent
from stream.annotate.tracing import NoTracing, OpenTelemetry, open_tracing
from tests.conftest import Topics
from tests.records import Record, produce

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = ("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode())


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def resources(self) -> list[Any]:
        requests = map(ExportTraceServiceRequest.FromString, self.bodies)
        return [resource for request in requests for resource in request.resource_spans]

    @property
    def spans(self) -> list[Any]:
        return [span for resource in self.resources for scope in resource.scope_spans for span in scope.spans]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing of it belongs into a test's output."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


def linked(span: Any) -> set[bytes]:
    return {link.span_id for link in span.links}


async def test_a_receiver_can_follow_a_message_from_its_producer_to_its_commit(
    topics: Topics, receiver: Receiver
) -> None:
    settings = await topics(tracing=True, drain=True, partitions=2)
    records = [
        Record(
            json.dumps({"text": f"between us {n}", "author": "kim"}).encode(),
            headers=[PARENT],
            partition=n % 2,
        )
        for n in range(6)
    ]
    await produce(
        settings.bootstrap_servers, settings.input_topic, [*records, Record(b"no json", partition=0)]
    )
    await Annotator(settings, FakeClassifier()).run()
    by_step: dict[str, list[Any]] = {}
    for span in receiver.spans:
        step, topic = span.name.split()
        assert topic == settings.input_topic
        by_step.setdefault(step, []).append(span)
    assert set(by_step) == {"receive", "batch", "infer", "publish"}
    received = {span.span_id for span in by_step["receive"]}
    batches = {span.span_id for span in by_step["batch"]}
    for span in by_step["receive"]:
        assert {link.trace_id.hex() for link in span.links} <= {TRACE_ID}
    assert sum(len(span.links) for span in by_step["receive"]) == 6
    assert set().union(*map(linked, by_step["batch"])) <= received
    assert {span.parent_span_id for span in by_step["infer"]} == batches
    assert batches <= set().union(*map(linked, by_step["publish"])) <= batches | received
    for span in by_step["batch"]:
        [inference] = (child for child in by_step["infer"] if child.parent_span_id == span.span_id)
        assert span.start_time_unix_nano <= inference.start_time_unix_nano <= inference.end_time_unix_nano
    names = {a.key: a.value.string_value for r in receiver.resources for a in r.resource.attributes}
    assert names["service.name"] == "emotion-stream-annotator"
    for content in (b"between us", b"kim", b"no json"):
        assert not any(content in body for body in receiver.bodies)


@contextmanager
def noted() -> Iterator[tuple[OpenTelemetry, list[ReadableSpan]]]:
    exporter, provider, found = InMemorySpanExporter(), TracerProvider(), list[ReadableSpan]()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield OpenTelemetry(provider), found
    found.extend(exporter.get_finished_spans())


def entry(*headers: tuple[str, bytes]) -> Entry:
    return Entry(offset=0, timestamp_ms=0, key=b"kim", value=b"between us", headers=headers, admitted_at=0.0)


def test_there_is_no_link_to_what_is_no_trace_or_was_written_by_somebody_who_opted_out() -> None:
    opted_out = entry(PARENT)
    opted_out.outcome = Silent.OPTED_OUT
    with noted() as (tracing, spans):
        tracing.received(
            "messages", 0, [entry(PARENT), entry(), entry(("traceparent", b"nonsense")), opted_out], 1
        )
        tracing.received("messages", 0, [], 1)
    [span] = spans
    assert [format(link.context.trace_id, "032x") for link in span.links] == [TRACE_ID]
    assert (span.attributes or {})["messaging.batch.message_count"] == 4


def test_an_error_is_noted_by_its_kind_and_not_by_what_it_says() -> None:
    with (
        noted() as (tracing, spans),
        pytest.raises(ValueError, match="between us"),
        tracing.batch("messages", [entry()]),
    ):
        raise ValueError("between us")
    assert [span.status.description for span in spans] == ["ValueError", "ValueError"]
    assert not any("between us" in span.to_json() for span in spans)


async def test_a_receiver_that_is_away_stops_nobody(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")  # seconds, of all tries together
    settings = await topics(tracing=True, drain=True, partitions=1)
    await produce(settings.bootstrap_servers, settings.input_topic, [Record(b'{"text": "Hello"}')])
    async with asyncio.timeout(30):
        await Annotator(settings, FakeClassifier()).run()


def test_nothing_is_traced_unless_asked_for() -> None:
    assert isinstance(open_tracing(enabled=False), NoTracing)
