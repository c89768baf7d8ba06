"""The model is exchanged while messages flow; what does not pass is refused and the old one goes on."""

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from model import manifest
from model.contract import Encoded, Logits, ModelInfo
from model.fake import FakeClassifier
from model.folder import INT8_ONNX_FILE, WEIGHTS
from model.memory import Memory
from stream.annotate.app import Annotator
from stream.annotate.models import Models, ready_model
from stream.commands.model import turn
from stream.events import CountDelta, EmotionEvent
from stream.metrics import Metrics
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_all
from tests.stream.commands import run

SMALL_FILES = ("calibration.json", "config.json", "tokenizer.json", "tokenizer_config.json")


def folder_of(place: Path, name: str) -> Path:
    """The shipped weights for CPUs under another name, so with another revision."""
    place.mkdir()
    for file in SMALL_FILES:
        shutil.copy(WEIGHTS / file, place / file)
    os.link(WEIGHTS / INT8_ONNX_FILE, place / INT8_ONNX_FILE)
    calibration = json.loads((place / "calibration.json").read_text(encoding="utf-8"))
    (place / "calibration.json").write_text(json.dumps(calibration | {"name": name}), encoding="utf-8")
    manifest.write(place)
    return place


class Named(FakeClassifier):
    """A fake with a revision of its own, that fails on token ids of another one's tokenizer."""

    def __init__(self, revision: str, delay_ms: float = 0.0) -> None:
        super().__init__(delay_ms=delay_ms)
        self._revision = revision

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("named", self._revision, languages=(), device="cpu", precision="none")

    def tokenize(self, texts: Any) -> list[Encoded]:
        return [_Marked(encoded.windows, self._revision) for encoded in super().tokenize(texts)]

    def forward(self, batch: Any) -> Logits:
        assert all(encoded.revision == self._revision for encoded in batch)
        return super().forward(batch)


class _Marked(Encoded):
    def __init__(self, windows: tuple[tuple[int, ...], ...], revision: str) -> None:
        super().__init__(windows)
        object.__setattr__(self, "revision", revision)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def swaps(metrics: Metrics, result: str) -> float | None:
    return metrics.registry.get_sample_value("emotion_model_swaps_total", {"result": result})


async def test_events_before_one_offset_bear_the_old_revision_and_from_it_on_the_new_one(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=2, max_batch_tokens=256, commit_interval_ms=20)
    texts = [f"joy: {'x' * (number % 50)}" for number in range(600)]
    values = [
        Record(orjson.dumps({"text": text, "channel": "c"}), partition=number % 2)
        for number, text in enumerate(texts)
    ]
    fresh = (Named(f"{number:012}", delay_ms=10) for number in itertools.count(1))
    monkeypatch.setattr("stream.annotate.models.load_classifier", lambda _: next(fresh))
    annotator = Annotator(settings, Named("0" * 12, delay_ms=10))
    running = asyncio.create_task(annotator.run())
    for round_ in range(3):
        await produce(str(settings.bootstrap_servers), settings.input_topic, values)
        # Some 30 batches of 10 ms: the exchange finds texts that the old model has read and not labelled.
        await until(lambda: annotator.progress.finished_messages > round_ * len(values))  # noqa: B023
        if round_ < 2:
            annotator.reload_model()
            await until(lambda: swaps(annotator.metrics, "swapped") == round_ + 1)  # noqa: B023
    await until(lambda: annotator.progress.finished_messages == 3 * len(values))
    annotator.stop()
    await running

    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)
    events = [EmotionEvent.model_validate_json(record.value or b"") for record in records]
    assert len(events) == len({event.id for event in events}) == 3 * len(values)
    for partition in range(2):
        read = [event for event in events if event.source.partition == partition]
        assert [event.source.offset for event in read] == sorted(event.source.offset for event in read)
        revisions = [revision for revision, _ in itertools.groupby(event.model.revision for event in read)]
        assert revisions == ["0" * 12, f"{1:012}", f"{2:012}"]
    await counts_name_the_model_of_their_events(settings, events)


async def counts_name_the_model_of_their_events(settings: Settings, events: list[EmotionEvent]) -> None:
    revision = {(event.source.partition, event.source.offset): event.model.revision for event in events}
    for record in await read_committed_all(str(settings.bootstrap_servers), settings.topics.counts):
        delta = CountDelta.model_validate_json(record.value or b"")
        offsets = range(delta.source.first_offset, delta.source.last_offset + 1)
        counted = {revision.get((delta.source.partition, offset)) for offset in offsets} - {None}
        assert delta.model is not None
        assert counted == {delta.model.revision}


async def test_a_turned_link_brings_the_folder_that_it_names_and_a_torn_one_is_refused(
    topics: Topics, tmp_path: Path
) -> None:
    first, second = folder_of(tmp_path / "first", "one"), folder_of(tmp_path / "second", "two")
    torn = tmp_path / "torn"
    shutil.copytree(second, torn)
    (torn / "calibration.json").write_text("{}", encoding="utf-8")
    link = tmp_path / "current"
    turn(link, first)
    assert link.readlink() == Path("first")
    settings = await topics(model=str(link), partitions=1)
    annotator = Annotator(settings, await asyncio.to_thread(ready_model, settings))
    running = asyncio.create_task(annotator.run())
    await until(lambda: annotator.unready() is None)

    turn(link, torn)
    await until(lambda: swaps(annotator.metrics, "refused") == 1)
    assert annotator.metrics.registry.get_sample_value("emotion_model_refused") == 1
    turn(link, second)
    await until(lambda: swaps(annotator.metrics, "swapped") == 1)
    assert annotator.metrics.registry.get_sample_value("emotion_model_refused") == 0
    annotator.reload_model()
    await until(lambda: swaps(annotator.metrics, "unchanged") == 1)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [b'{"text": "what a lovely day"}'])
    await until(lambda: annotator.progress.finished_messages == 1)
    annotator.stop()
    await running

    (record,) = await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)
    event = EmotionEvent.model_validate_json(record.value or b"")
    assert event.model.name == "two"
    shown = [s for m in annotator.metrics.model_info.collect() for s in m.samples]
    assert [(s.labels["name"], s.labels["revision"]) for s in shown] == [("two", event.model.revision)]


async def test_a_model_that_cannot_label_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeClassifier):
        def forward(self, batch: Any) -> Logits:
            raise RuntimeError("no kernel")

    monkeypatch.setattr("stream.annotate.models.load_classifier", lambda _: Broken())
    metrics, told = Metrics(), []
    models = Models(Settings(bootstrap_servers="none:1", model="fake"), FakeClassifier(), metrics)
    following = asyncio.create_task(models.follow(told.append))
    models.reload()
    await until(lambda: swaps(metrics, "refused") == 1)
    following.cancel()
    assert told == []
    assert isinstance(models.current, FakeClassifier)
    assert not isinstance(models.current, Broken)


def test_the_memory_of_texts_is_each_model_s_own(tmp_path: Path) -> None:
    settings = Settings(bootstrap_servers="none:1", model=str(folder_of(tmp_path / "one", "one")))
    first, second = ready_model(settings), ready_model(settings)
    memories = [one._memory for one in (first, second)]  # type: ignore[attr-defined]
    assert all(isinstance(memory, Memory) for memory in memories)
    first.forward(first.tokenize(["the same text"]))
    second.forward(second.tokenize(["the same text"]))
    assert second.remembered == 0


def test_model_use_tries_the_folder_and_turns_the_link(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "new", "new")
    link = tmp_path / "current"
    done = run("model", "use", folder, "--model", link)
    assert done.exit_code == 0, done.output
    assert link.resolve() == folder
    assert "model    new " in done.output
    shown = run("model", "show", "--model", link)
    assert str(folder) in shown.output

    (folder / INT8_ONNX_FILE).unlink()
    (folder / INT8_ONNX_FILE).write_bytes(b"torn")
    refused = run("model", "use", folder, "--model", link)
    assert refused.exit_code == 1
    assert "is not the file that was exported" in refused.output


def test_model_use_refuses_a_network_of_other_labels_than_its_folder_names(tmp_path: Path) -> None:
    folder, link = folder_of(tmp_path / "new", "new"), tmp_path / "current"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["id2label"]["6"], config["id2label"]["5"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    manifest.write(folder)
    refused = run("model", "use", folder, "--model", link)
    assert refused.exit_code == 1
    assert "config.json names 5 labels and its network has " in refused.output
    assert not link.is_symlink()


@pytest.mark.parametrize("model", [None, "folder"])
def test_model_use_needs_a_link(model: str | None, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    named = ["--model", tmp_path / model] if model else []
    refused = run("model", "use", WEIGHTS, *named)
    assert refused.exit_code == 2
    assert "link" in refused.output
    assert not (tmp_path / "folder").is_symlink()
