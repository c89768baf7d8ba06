"""``emotion-stream bench model``: engines in turn on the user's texts; what it says where one cannot run."""

import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream.bench.rounds import Engine, measure
from stream.cli import root

TEXTS = ["i am so happy today", "i am afraid of the night", "where is my parcel"]


def of_python(key: str, code: str) -> Engine:
    return Engine(key, key, (sys.executable, "-c", code))


def test_the_model_is_measured_on_the_users_texts(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("\n".join([*TEXTS, TEXTS[0]]))
    given = ["bench", "model", "--texts", str(file), "--rounds", "2", "--engine", "int8", "--json"]
    result = CliRunner().invoke(root, given, catch_exceptions=False)
    assert result.exit_code == 0
    report = orjson.loads(result.stdout)
    (row,) = report["engines"]
    assert report["messages"] == len(TEXTS)
    assert report["tokens_a_message"] == 7
    assert len(row["all_rounds"]) == report["rounds"] == 2
    assert min(row["messages_a_second"], row["cpu_ms_a_message"]) > 0
    assert row["peak_mb"] > 50
    assert report["machine"]


def test_labels_are_held_against_those_of_fp32(tiny_labels: list[Engine]) -> None:
    reference, other = measure(tiny_labels, TEXTS, rounds=1)
    assert reference.agreement(reference) == 1
    assert other.agreement(reference) == pytest.approx(2 / 3)
    assert other.agreement(None) is None


@pytest.fixture
def tiny_labels() -> list[Engine]:
    serve = "from stream.bench.process import serve; serve(lambda: lambda texts: {})"
    return [
        of_python("fp32", serve.format("[text[0] for text in texts]")),
        of_python("other", serve.format("['i' for text in texts]")),
    ]


def test_an_engine_that_fails_says_why_and_the_others_go_on(tiny_labels: list[Engine]) -> None:
    broken = of_python("broken", "from stream.bench.process import serve; serve(lambda: 1 / 0)")
    dead = of_python("dead", "pass")
    missing = Engine("missing", "missing", ("/nowhere/python",))
    first, second, third, fourth = measure([broken, tiny_labels[0], dead, missing], TEXTS, rounds=2)
    assert (first.failure, first.runs) == ("division by zero", [])
    assert (second.failure, len(second.runs)) == (None, 2)
    assert third.failure == "its process ended by itself"
    assert fourth.failure == "/nowhere/python cannot be started (No such file or directory)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "int9"], "there are auto, int8"),
        (["--texts", "empty.txt"], "no messages in it"),
        (["--model", "nowhere", "--engine", "int8"], "nowhere is no folder"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n")
    result = CliRunner().invoke(root, ["bench", "model", *arguments])
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output
