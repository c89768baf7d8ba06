"""Data sets: what is read, how it is mapped, and what a wrong file says."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import EMOTIONS, LABELS
from training.data.rows import (
    GOEMOTIONS_LEFT_OUT,
    GOEMOTIONS_TO_LABEL,
    GOEMOTIONS_TO_LABEL_EKMAN,
    Row,
    drop_contradictions,
    label_counts,
    load_banking77,
    load_emotion,
    load_goemotions,
    stratified_split,
    text_key,
)
from training.errors import DataError

LABELLED = st.lists(st.sampled_from(EMOTIONS), min_size=30, max_size=120)


def test_emotion_is_read_in_its_own_splits(data_folder: Path) -> None:
    splits = load_emotion(data_folder)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (240, 60, 60)
    assert {row.label for row in splits.train} == set(EMOTIONS)


def test_goemotions_keeps_single_labels_that_the_mapping_knows(data_folder: Path) -> None:
    rows = load_goemotions(data_folder).test
    assert "two at once" not in {row.text for row in rows}
    assert {row.label for row in rows} <= set(LABELS)
    assert len(load_goemotions(data_folder, ekman=True).test) > len(rows)


def test_every_goemotions_label_is_mapped_or_left_out_on_purpose() -> None:
    assert len(GOEMOTIONS_TO_LABEL) + len(GOEMOTIONS_LEFT_OUT) == 28
    assert not GOEMOTIONS_LEFT_OUT & set(GOEMOTIONS_TO_LABEL)
    assert set(GOEMOTIONS_TO_LABEL_EKMAN) == set(GOEMOTIONS_TO_LABEL) | GOEMOTIONS_LEFT_OUT


def test_banking_questions_are_neutral_and_some_are_held_out(data_folder: Path) -> None:
    splits = load_banking77(data_folder)
    assert {row.label for row in splits.train} == {"neutral"}
    assert splits.validation
    assert len(splits.train) + len(splits.validation) == 240


@given(LABELLED, st.integers(0, 5))
def test_a_stratified_split_loses_nothing_and_keeps_proportions(labels: list[str], seed: int) -> None:
    rows = [Row(f"text {number}", label, "emotion") for number, label in enumerate(labels)]
    splits = stratified_split(rows, (70, 15, 15), seed)
    parts = (splits.train, splits.validation, splits.test)
    assert sorted(row.text for part in parts for row in part) == sorted(row.text for row in rows)
    for label, count in label_counts(rows).items():
        in_train = sum(row.label == label for row in splits.train)
        assert abs(in_train - 0.7 * count) <= 1


def test_the_same_seed_gives_the_same_split() -> None:
    rows = [Row(f"text {number}", EMOTIONS[number % 6], "emotion") for number in range(60)]
    assert stratified_split(rows, (70, 15, 15), 1) == stratified_split(rows, (70, 15, 15), 1)
    assert stratified_split(rows, (70, 15, 15), 1) != stratified_split(rows, (70, 15, 15), 2)


def test_percentages_must_sum_to_a_hundred() -> None:
    with pytest.raises(DataError, match="sum to 100"):
        stratified_split([], (70, 15, 5), 0)


def test_a_text_with_two_labels_is_not_trained_on() -> None:
    rows = [Row("a", "joy", "x"), Row("a", "fear", "x"), Row("b", "joy", "x"), Row("b", "joy", "x")]
    assert drop_contradictions(rows) == [Row("b", "joy", "x")]


def test_a_missing_folder_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.jsonl.*--data or EMOTION_DATA"):
        load_emotion(tmp_path)


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "emotion").mkdir()
    (tmp_path / "emotion" / "train.jsonl").write_text('{"text": "a", "label": "joy"}\nnot json\n')
    with pytest.raises(DataError, match=r"train\.jsonl:2"):
        load_emotion(tmp_path)


SEPARATORS = "one\u2028two\x85three"


def test_a_text_may_hold_separators_that_are_no_line_feeds(data_folder: Path, tmp_path: Path) -> None:
    data: Path = shutil.copytree(data_folder, tmp_path / "data")
    row = json.dumps({"text": SEPARATORS, "label": "joy"}, ensure_ascii=False)
    (data / "emotion" / "train.jsonl").write_text(f"{row}\n", encoding="utf-8")
    (data / "goemotions" / "train.tsv").write_text(f"{SEPARATORS}\x0b\t1\tid\n", encoding="utf-8")
    assert load_emotion(data).train == (Row(SEPARATORS, "joy", "emotion"),)
    assert load_goemotions(data).train == (Row(f"{SEPARATORS}\x0b", "joy", "goemotions"),)


def test_a_file_in_another_encoding_is_named_with_the_way_out(data_folder: Path, tmp_path: Path) -> None:
    data: Path = shutil.copytree(data_folder, tmp_path / "data")
    (data / "emotion" / "train.jsonl").write_bytes(
        '{"text": "traurig, müde", "label": "joy"}'.encode("latin-1")
    )
    with pytest.raises(DataError, match=r"train\.jsonl: not UTF-8 .*--data or EMOTION_DATA"):
        load_emotion(data)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("emotion/train.jsonl", "emotion"),
        ("emotion/validation.jsonl", "emotion"),
        ("emotion/test.jsonl", "emotion"),
        ("goemotions/dev.tsv", "goemotions"),
        ("support/banking77_test.jsonl", "banking77"),
    ],
)
def test_a_file_without_rows_is_refused(data_folder: Path, tmp_path: Path, name: str, source: str) -> None:
    folder = shutil.copytree(data_folder, tmp_path / "data")
    (folder / name).write_text("")
    load = {"emotion": load_emotion, "goemotions": load_goemotions, "banking77": load_banking77}[source]
    with pytest.raises(DataError, match=f"{source}: no row for "):
        load(folder)


def test_names_of_labels_that_nobody_maps_leave_no_rows(data_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data_folder, tmp_path / "data")
    (folder / "goemotions" / "emotions.txt").write_text("glee\n" * 8)
    with pytest.raises(DataError, match="goemotions: no row for train"):
        load_goemotions(folder)


@pytest.mark.parametrize("name", ["emotion/train.jsonl", "goemotions/emotions.txt", "goemotions/train.tsv"])
def test_files_as_windows_writes_them_are_read_alike(data_folder: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(data_folder, tmp_path / "data")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert load_emotion(folder) == load_emotion(data_folder)
    assert load_goemotions(folder) == load_goemotions(data_folder)


@pytest.mark.parametrize("row", ['{"text": null, "label": "joy"}', '{"text": "so glad", "label": 1}'])
def test_what_is_no_text_is_not_read_as_one(tmp_path: Path, row: str) -> None:
    (tmp_path / "emotion").mkdir()
    (tmp_path / "emotion" / "train.jsonl").write_text(row + "\n")
    with pytest.raises(DataError, match=r"train\.jsonl:1: text and label must be strings"):
        load_emotion(tmp_path)


def test_half_a_surrogate_pair_is_read_as_a_replacement(data_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data_folder, tmp_path / "data")
    (folder / "emotion" / "train.jsonl").write_text('{"text": "cut \\ud83d", "label": "joy"}\n')
    (row,) = load_emotion(folder).train
    assert row.text == "cut \N{REPLACEMENT CHARACTER}"
    assert len(text_key(row.text)) == 16


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "emotion").mkdir()
    (tmp_path / "emotion" / "train.jsonl").write_text('{"text": "a", "label": "envy"}\n')
    with pytest.raises(DataError, match=r"row \d+: unknown label 'envy'"):
        load_emotion(tmp_path)


def test_the_real_sets_have_the_published_sizes(real_data: Path) -> None:
    emotion = load_emotion(real_data)
    assert (len(emotion.train), len(emotion.validation), len(emotion.test)) == (16_000, 2_000, 2_000)
    assert len(load_goemotions(real_data, ekman=True).train) == 36_308
