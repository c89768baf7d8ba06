"""The operator's phrase lists follow their file while messages flow."""

from pathlib import Path

from stream.annotate.app import Annotator
from stream.events import DistressSignal
from tests.conftest import Topics
from tests.records import produce, read_committed_until
from tests.stream.annotate.test_annotator import annotating, message, until


def replace(file: Path, text: str) -> None:
    """At once: an annotator that looks meanwhile finds one or the other."""
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").replace(file)


def value(annotator: Annotator, name: str) -> float | None:
    return annotator.metrics.registry.get_sample_value(name)


async def test_phrases_that_change_hold_for_the_messages_after_that(topics: Topics, tmp_path: Path) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text('[lists]\nurgent = ["right now"]\n')
    settings = await topics(phrases_file=file, partitions=1)
    servers = str(settings.bootstrap_servers)

    async def matched(text: str, so_far: int) -> tuple[str, ...]:
        await produce(servers, settings.input_topic, [message(text)])
        records = await read_committed_until(servers, settings.topics.signals, so_far + 1)
        return DistressSignal.model_validate_json(records[-1].value or b"").phrases

    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        assert value(annotator, "emotion_phrase_lists") == 1
        assert await matched("joy: close my account right now", 0) == ("urgent",)
        replace(file, '[lists]\nurgent = ["right now"]\nleaving = ["close my account"]\n')
        await until(lambda: value(annotator, "emotion_phrase_lists") == 2)
        assert await matched("joy: close my account right now", 1) == ("leaving", "urgent")
        replace(file, "[lists]\nurgent = [")
        await until(lambda: value(annotator, "emotion_phrases_refused") == 1)
        assert await matched("joy: close my account", 2) == ("leaving",)
        assert value(annotator, "emotion_phrases_reload_failures_total") == 1
        replace(file, '[lists]\nurgent = ["right now"]\n# end: 1\n')
        await until(lambda: value(annotator, "emotion_phrases_refused") == 0)
        assert await matched("joy: close my account right now", 3) == ("urgent",)
