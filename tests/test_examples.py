"""The examples run as they stand, and do what they say."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.contract import Model, ModelInfo
from model.fake import FakeClassifier
from model.loading import load
from stream.annotate.app import Annotator
from stream.cloudevents import to_json
from stream.monitor.events import Alert, Evidence
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_until
from tests.test_imports import ROOT

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


class EnglishAlone(FakeClassifier):
    """As if its weights had been measured in English."""

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, languages=("en",))


async def run_example(name: str, *arguments: object) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLES / name, *map(str, arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, stderr.decode()
    return stdout.decode().splitlines()


@contextlib.asynccontextmanager
async def annotating(settings: Settings, model: Model) -> AsyncIterator[None]:
    annotator = Annotator(settings, model)
    running = asyncio.create_task(annotator.run())
    try:
        yield
    finally:
        annotator.stop()
        await running


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_is_short_and_says_how_to_run_it(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert f"python examples/{script.name}" in text
    assert f"`{script.name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.every_broker
async def test_what_produce_sends_is_what_read_labels_prints(topics: Topics, unique_name: str) -> None:
    settings = await topics()
    servers = ("--bootstrap-servers", settings.bootstrap_servers)
    async with annotating(settings, load("fake")):
        sent = await run_example("produce.py", *servers, "--topic", settings.input_topic)
        topic = ("--topic", settings.topics.emotions)
        read = await run_example("read_labels.py", *servers, *topic, "--group", unique_name, "--count", 3)
    places = {line.rsplit(maxsplit=1)[-1] for line in sent}
    assert {line.rsplit(maxsplit=1)[-1] for line in read} == places
    assert len(places) == 3


async def test_read_labels_prints_a_message_in_a_language_that_is_not_read(
    topics: Topics, unique_name: str
) -> None:
    settings = await topics()
    assert settings.bootstrap_servers
    text = "Ich freue mich sehr, dass ihr uns heute alle besucht habt"
    await produce(settings.bootstrap_servers, settings.input_topic, [Record(to_json({"text": text}), b"k")])
    async with annotating(settings, EnglishAlone()):
        servers = ("--bootstrap-servers", settings.bootstrap_servers)
        topic = ("--topic", settings.topics.emotions)
        read = await run_example("read_labels.py", *servers, *topic, "--group", unique_name, "--count", 1)
    assert [line.split()[:4] for line in read] == [["unknown", "0.00", "distress", "-"]]


async def test_dedupe_reader_counts_a_repeated_event_once(topics: Topics, tmp_path: Path) -> None:
    settings = await topics()
    events = [to_json({"id": f"messages-0-{number}", "label": "joy"}) for number in (0, 1, 1, 0, 2)]
    assert settings.bootstrap_servers
    await produce(settings.bootstrap_servers, settings.topics.emotions, [Record(e, b"k") for e in events])
    printed = await run_example(
        "dedupe_reader.py",
        *("--bootstrap-servers", settings.bootstrap_servers, "--topic", settings.topics.emotions),
        *("--database", tmp_path / "labels.db", "--count", len(events)),
    )
    assert printed[-1] == "{'joy': 3}"


async def test_watch_alerts_prints_each_revision_once_with_its_evidence(topics: Topics) -> None:
    settings = await topics()
    assert settings.bootstrap_servers
    records = [Record(alert(number).model_dump_json().encode(), b"%d" % number) for number in (1, 1, 2)]
    await produce(settings.bootstrap_servers, settings.topics.alerts, [*records, Record(None, b"3")])
    await read_committed_until(settings.bootstrap_servers, settings.topics.alerts, 4)
    printed = await run_example(
        "watch_alerts.py",
        *("--bootstrap-servers", settings.bootstrap_servers, "--topic", settings.topics.alerts, "--count", 2),
    )
    firing = [line for line in printed if line.startswith("firing warning")]
    assert len(firing) == 2
    assert "  2 messages: m-1, m-2" in printed
    assert any("no diagnosis" in line for line in printed)


def alert(number: int) -> Alert:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Alert(
        id=f"sustained:{number}",
        revision=1,
        rule="sustained",
        kind="author",
        severity="warning",
        status="firing",
        recipients=("care-team",),
        summary="distress above the author's own baseline",
        evidence=Evidence(
            window_start=moment,
            window_end=moment,
            measure="weighted mean of the distress score",
            score=0.7,
            enter=0.6,
            leave=0.4,
            messages=2,
            message_ids=("m-1", "m-2"),
        ),
        starts_at=moment,
        updated_at=moment,
        shard=0,
    )


async def test_classify_texts_prints_a_line_for_each_text() -> None:
    printed = await run_example("classify_texts.py", "--model", "fake", "joy of all sorts", "anger?")
    assert [line.split()[0] for line in printed] == ["joy", "anger"]
