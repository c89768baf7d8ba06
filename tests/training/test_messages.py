"""The messages written for this project: read with checks, held out for good, unlike the behavioural set."""

import json
from pathlib import Path

import pytest

from model.labels import LABELS
from training.data.behaviour_cases import behavioural_rows
from training.data.leakage import NearDuplicates, without_leaks
from training.data.messages import FOLDER, KINDS, load_messages, load_replies
from training.errors import DataError
from training.fit.recipes import TEACHER
from training.fit.sources import training_data


def _write(file: Path, records: list[dict[str, object]]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _folder(folder: Path, count: int) -> Path:
    for kind in (*KINDS, "test"):
        _write(
            folder / f"{kind}.jsonl",
            [{"text": f"{kind} {n}", "label": LABELS[n % 7]} for n in range(count)],
        )
    return folder


def test_about_a_tenth_is_held_out_and_stays_so_when_others_come(tmp_path: Path) -> None:
    few = load_messages(_folder(tmp_path, 200))
    many = load_messages(_folder(tmp_path, 400))
    assert 0.05 < len(few.validation) / (200 * len(KINDS)) < 0.15
    assert len(few.train) + len(few.validation) == 200 * len(KINDS)
    assert set(few.validation) <= set(many.validation)
    assert set(few.train) <= set(many.train)


def test_a_message_may_hold_separators_that_are_no_line_feeds(tmp_path: Path) -> None:
    file = tmp_path / "conversations_test.jsonl"
    file.write_text('{"text": "one\u2028two", "label": "joy"}\n', encoding="utf-8")
    assert load_replies(tmp_path)[0].text == "one\u2028two"
    file.write_bytes('{"text": "müde", "label": "joy"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"conversations_test\.jsonl: not UTF-8"):
        load_replies(tmp_path)


def test_of_a_conversation_the_last_message_alone_is_read(tmp_path: Path) -> None:
    conversation: dict[str, object] = {
        "context": ["did they ring?", "not yet"],
        "text": "still nothing",
        "label": "sadness",
    }
    _write(tmp_path / "conversations_test.jsonl", [conversation])
    (row,) = load_replies(tmp_path)
    assert (row.text, row.label) == ("still nothing", "sadness")


@pytest.mark.parametrize(
    "line",
    ['{"text": "no label"}', '{"text": "x", "label": "glee"}', '{"text": " ", "label": "joy"}', "[]", "x"],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    folder = _folder(tmp_path, 1)
    with (folder / "everyday.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=r"everyday\.jsonl:2: expected"):
        load_messages(folder)


def test_the_shipped_messages_cover_every_label_and_repeat_nothing() -> None:
    splits = load_messages()
    rows = [*splits.train, *splits.validation, *splits.test]
    assert {row.label for row in splits.validation} == {row.label for row in splits.test} == set(LABELS)
    assert len({row.text for row in rows}) == len(rows)
    assert {file.stem for file in FOLDER.glob("*.jsonl")} == {
        *KINDS, "test", "conversations_test", "distress", "distress_test",
    }  # fmt: skip


def test_nothing_like_the_behavioural_set_or_a_test_message_is_trained_on(data_folder: Path) -> None:
    near = NearDuplicates(row.text for row in (*behavioural_rows(), *load_messages().test))
    rows = training_data(TEACHER, data_folder).train
    assert {"messages", "written"} <= {row.source for row in rows}
    assert not [row.text for row in rows if row.text in near]


def test_no_message_trained_on_is_like_a_held_out_one() -> None:
    splits = load_messages()
    kept = without_leaks(splits.train, [*splits.validation, *splits.test])
    assert len(kept) > 0.98 * len(splits.train)
