"""A name goes in, in every place that a producer can write to, and must come out nowhere.

canary ─► messages ─► annotator ─► monitor ─► topics, webhook, logs, metrics, API, state files, spans
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from model.fake import FakeClassifier
from stream import logs
from stream.annotate.app import Annotator
from stream.annotate.tracing import OpenTelemetry
from stream.monitor.app import Running, running
from stream.settings import Settings
from tests.records import Record, produce, read_committed_all
from tests.stream.annotate.test_annotator import until
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.receivers import http_receiver
from tests.stream.monitor.test_delivery import eventually

CANARY: Final = "canary.kim@example.org"
"""Who writes. The text does not name them: whether texts are published is a setting of its own."""

PARENT: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORMS: Final = (CANARY, CANARY.upper(), CANARY.encode("utf-16-le").decode("latin-1"), CANARY.encode().hex())

RULES: Final = """
[[rule]]
name = "sustained"
kind = "author"
cooldown_s = 0
[[rule]]
name = "mix"
kind = "drift"
min_messages = 1
"""


def messages() -> Iterator[Record]:
    """The canary as author, as key, inside ids and names, and in every header that means something."""
    name = CANARY.encode()
    body: dict[str, Any] = {"text": "sadness: everything hurts", "author": CANARY, "meta": {"mail": CANARY}}
    for number in range(12):
        fields = {"id": f"{CANARY}-{number}", "channel": f"dm:{CANARY}", "conversation": CANARY}
        yield Record(orjson.dumps(body | fields), key=name, headers=_headers(number))
    yield Record(orjson.dumps(body | {"id": CANARY.upper(), "channel": CANARY}), key=b"user/" + name)
    yield Record(orjson.dumps({"text": "joy: no author, but a key", "channel": "support"}), key=name)
    yield Record(orjson.dumps({"text": "fear: x", "conversation": "t-9"}), key=CANARY.encode("utf-16-le"))
    event: dict[str, Any] = {
        "specversion": "1.0",
        "type": "t",
        "source": f"/{CANARY}",
        "subject": CANARY,
        "id": CANARY,
    }
    event |= {"partitionkey": CANARY, "data": body | {"channel": "support"}}
    yield Record(orjson.dumps(event), key=name, headers=[("content-type", b"application/cloudevents+json")])
    binary = [("ce_specversion", b"1.0"), ("ce_subject", name), ("ce_id", name), ("ce_partitionkey", name)]
    yield Record(orjson.dumps(body), key=name, headers=binary)
    yield Record(b'{"text": 1, "author": "' + name + b'"}', key=name, headers=_headers(0))
    yield Record(name, key=name)
    yield Record(None, key=name)


def _headers(number: int) -> list[tuple[str, bytes]]:
    name = CANARY.encode()
    parent = (PARENT, name, PARENT + b"-" + name)[number % 3]
    return [("traceparent", parent), ("tracestate", b"vendor=" + name), ("user", name), (CANARY, b"1")]


def assert_absent(what: str, content: bytes | str) -> None:
    text = content if isinstance(content, str) else content.decode("latin-1")
    found = [form for form in FORMS if form in text]
    assert not found, f"{what}: {text[max(0, text.index(found[0]) - 80) :][:200]!r}"


async def assert_topics_are_clean(settings: Settings) -> int:
    """Looks at every record of every topic that we write, but for the dead letters; how many there are."""
    names, seen = settings.topics, 0
    group = settings.monitor_group_id
    changelogs = (f"{group}-counts-changelog", f"{group}-authors-changelog")
    topics = (
        *(names.emotions, names.counts, names.signals, names.counters, names.alerts),
        *(names.undelivered, names.reviews, names.optout),
        *changelogs,
    )
    for topic in topics:
        for record in await read_committed_all(str(settings.bootstrap_servers), topic):
            seen += 1
            for part in (record.key, record.value, *(name.encode() for name, _ in record.headers)):
                assert_absent(topic, part or b"")
            for _, value in record.headers:
                assert_absent(f"{topic}: a header", value or b"")
    return seen


async def assert_pages_are_clean(started: Running) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{started.port}") as session:
        for path in ("/metrics", "/api/alerts", "/api/counters", "/api/precision", "/healthz", "/readyz"):
            async with session.get(path) as response:
                assert_absent(path, await response.text())


async def test_a_name_that_goes_in_comes_out_nowhere(
    monitor_topics: MonitorTopics,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rules, optouts = tmp_path / "rules.toml", tmp_path / "optouts.txt"
    rules.write_text(RULES)
    optouts.write_text(f"opted.{CANARY}\n")
    logs.configure("json", "debug")
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with http_receiver() as receiver:
        settings = await monitor_topics(
            rules_file=rules,
            optout_file=optouts,
            http_port=0,
            webhook_url=receiver.url,
            webhook_secret=SecretStr("a secret of the webhook's own"),
        )
        records = [*messages(), Record(b'{"text": "x"}', key=f"opted.{CANARY}".encode())]
        await produce(str(settings.bootstrap_servers), settings.input_topic, records)
        annotator = Annotator(settings, FakeClassifier())
        annotator._tracing = OpenTelemetry(provider)
        labelling = asyncio.create_task(annotator.run())
        async with running(settings) as started:
            await eventually(lambda: len(receiver.taken) >= 1, timeout_s=40)
            await until(
                lambda: (
                    not any(annotator.progress.lag_messages.values())
                    and annotator.progress.finished_messages > 0
                )
            )
            await assert_pages_are_clean(started)
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{annotator.http_port}/metrics"
                async with session.get(url) as response:
                    assert_absent("the annotator's metrics", await response.text())
            annotator.stop()
            await labelling
        assert await assert_topics_are_clean(settings) > 30
    for taken in receiver.taken:
        assert_absent("the webhook", taken.body + repr(taken.headers).encode())
    for path in settings.state_dir.rglob("*"):
        if path.is_file():
            assert_absent(str(path), path.read_bytes())
    exported = spans.get_finished_spans()
    assert exported
    for span in exported:
        assert_absent("a span", span.to_json())
        assert_absent("a span's links", repr(span.links))
    written = capfd.readouterr()
    assert '"event"' in written.err
    assert_absent("the log", written.err + written.out)
    # They keep what was written, or it could not be repaired: docs/privacy.md says who may read them.
    letters = await read_committed_all(str(settings.bootstrap_servers), settings.topics.dlq)
    assert len(letters) == 2
    assert all(letter.key == CANARY.encode() for letter in letters)
