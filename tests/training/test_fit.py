"""A fit learns, keeps its best epoch, stops early, and resumes as if it had not been broken off."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from model.calibration import Calibration
from model.errors import ModelError
from model.folder import ModelFolder
from model.labels import LABELS
from tests.training.runs import BrokenError, break_off, taught
from training.data.rows import Row
from training.errors import TrainingError
from training.evaluate.predict import open_classifier, row_logits, soft_labels
from training.fit.device import Device
from training.fit.loop import Fit
from training.fit.recipe import Recipe
from training.fit.recipes import DEBUG, LORA
from training.fit.runlog import RunLog
from training.fit.sources import training_data
from training.fit.targets import SoftTargets
from training.fit.validation import validation_score
from training.runs import CHECKPOINT, RUN_FILE, run_of, write_facts

CPU = Device("cpu", bf16=False)


def _fit(recipe: Recipe, data: Path, out: Path, **options: object) -> Fit:
    rows = training_data(recipe, data)
    return Fit(recipe, rows.train, rows.validation, out, seed=0, device=CPU, **options)  # type: ignore[arg-type]


def _weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_a_run_learns_what_the_letters_tell(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(
        DEBUG,
        epochs=10,
        patience=10,
        batch_size=8,
        learning_rate=5e-3,
        layer_decay=1.0,
        ema_decay=0.9,
        label_smoothing=0.0,
        augmentation=None,
        sources={"emotion": None},
    )
    result = _fit(recipe, data_folder, tmp_path / "run").run()
    assert result.score > 0.5  # chance is one in six


def test_a_run_leaves_a_model_its_log_and_where_it_came_from(debug_run: Path) -> None:
    facts = json.loads((debug_run / "run.json").read_text())
    with (debug_run / "log.csv").open() as lines:
        epochs = list(csv.DictReader(lines))
    assert facts["recipe"]["name"] == "debug"
    assert facts["seed"] == 0
    assert len(epochs) == len(facts["history"]) == 2
    assert {"loss", "score", "emotion_macro_f1"} <= set(epochs[0])
    assert (debug_run / "tokenizer.json").is_file()
    assert not (debug_run / CHECKPOINT).exists()


def test_a_broken_off_run_resumes_with_the_same_outcome(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(DEBUG, epochs=3, patience=3)
    _fit(recipe, data_folder, tmp_path / "whole").run()

    def break_off_halfway(done: int, steps: int, loss: float) -> None:
        if done > steps * 0.5:
            break_off()

    with pytest.raises(BrokenError):
        _fit(recipe, data_folder, tmp_path / "broken", progress=break_off_halfway).run()
    _fit(recipe, data_folder, tmp_path / "broken").run(resume=True)
    whole, resumed = _weights(tmp_path / "whole"), _weights(tmp_path / "broken")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_a_run_that_ended_before_its_first_checkpoint_is_resumed_from_the_beginning(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Fit, "_checkpoint", break_off)
        with pytest.raises(BrokenError):
            _fit(DEBUG, data_folder, tmp_path).run()
    _fit(DEBUG, data_folder, tmp_path).run(resume=True)
    assert [entry["epoch"] for entry in run_of(tmp_path).history] == [1, 2]


def test_a_run_that_stopped_early_trains_no_further_when_it_is_resumed(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(DEBUG, epochs=4, patience=1, learning_rate=0.0)
    with monkeypatch.context() as patched:
        patched.setattr(Fit, "_write_run_file", break_off)
        with pytest.raises(BrokenError):
            _fit(recipe, data_folder, tmp_path).run()
    _fit(recipe, data_folder, tmp_path).run(resume=True)
    assert len(run_of(tmp_path).history) == 2


@pytest.mark.parametrize("diverges_in", [1, 2])
def test_a_training_that_diverges_ends_in_one_line_and_saves_nothing_of_it(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diverges_in: int
) -> None:
    train_epoch, out = Fit._train_epoch, tmp_path / "run"

    def diverging(self: Fit, epoch: int) -> float:
        loss = train_epoch(self, epoch)
        if epoch + 1 < diverges_in:
            return loss
        with torch.no_grad():
            next(self.model.parameters()).fill_(torch.nan)
        return loss if epoch else torch.nan

    monkeypatch.setattr(Fit, "_train_epoch", diverging)
    with pytest.raises(TrainingError, match="has diverged"):
        _fit(replace(DEBUG, ema_decay=0.0), data_folder, out).run()
    saved = _weights(out) if (out / "model.safetensors").is_file() else {}
    assert bool(saved) is (diverges_in > 1)
    assert all(np.isfinite(part).all() for part in saved.values())
    assert (out / CHECKPOINT).is_file() is (diverges_in > 1)
    assert not (out / RUN_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no checkpoint"])
def test_a_checkpoint_that_is_cut_says_how_to_go_on(
    data_folder: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(TrainingError, match=rf"{CHECKPOINT} cannot be read: --overwrite instead"):
        _fit(DEBUG, data_folder, tmp_path).run(resume=True)


def test_a_finished_run_is_not_begun_anew_by_resuming_it(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    with pytest.raises(TrainingError, match="is finished: --overwrite instead"):
        _fit(DEBUG, data_folder, run).run(resume=True)
    assert (run / RUN_FILE).is_file()


def test_the_checkpoint_of_an_earlier_run_is_not_resumed_as_that_of_one_begun_anew(
    data_folder: Path, tmp_path: Path
) -> None:
    _fit(DEBUG, data_folder, tmp_path)._checkpoint(1)
    with pytest.raises(BrokenError):
        _fit(DEBUG, data_folder, tmp_path, progress=break_off).run()
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_run_that_is_broken_off_in_its_first_epoch_leaves_the_one_before_as_it_was(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    (run / "calibration.json").write_text('{"temperature": 2.0}')
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    with pytest.raises(BrokenError):
        _fit(DEBUG, data_folder, run, progress=break_off).run()
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_a_run_that_is_broken_off_as_it_takes_the_place_of_another_is_not_taken_for_that(
    data_folder: Path, debug_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(Fit, "_save", break_off)
        with pytest.raises(BrokenError):
            _fit(DEBUG, data_folder, run).run()
    with pytest.raises(ModelError):
        ModelFolder.open(run)
    _fit(DEBUG, data_folder, run).run(resume=True)
    assert len(run_of(run).history) == 2


def test_what_was_said_of_earlier_weights_does_not_outlive_them(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    (run / "calibration.json").write_text('{"temperature": 9.0}')
    (run / "manifest.json").write_text('{"version": 1, "files": {}}')
    _fit(replace(DEBUG, epochs=1), data_folder, run).run()
    assert ModelFolder.open(run).calibration == Calibration()


@pytest.mark.parametrize("name", [f"{CHECKPOINT}.partial", "model.safetensors"])
def test_a_file_of_a_run_that_cannot_be_written_is_one_line(
    data_folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(TrainingError, match=r"cannot be written to \(.+\): make room"):
        _fit(replace(DEBUG, epochs=1), data_folder, tmp_path).run()


def test_a_run_of_another_recipe_is_not_resumed(data_folder: Path, tmp_path: Path) -> None:
    run = _fit(DEBUG, data_folder, tmp_path)
    run._checkpoint(1)
    with pytest.raises(TrainingError, match="another recipe"):
        _fit(replace(DEBUG, learning_rate=1.0), data_folder, tmp_path).run(resume=True)


def test_a_run_is_not_resumed_with_another_seed_or_other_rows(data_folder: Path, tmp_path: Path) -> None:
    rows = training_data(DEBUG, data_folder)
    train, validation = rows.train, rows.validation
    Fit(DEBUG, train, validation, tmp_path, seed=0, device=CPU)._checkpoint(1)
    with pytest.raises(TrainingError, match="another seed"):
        Fit(DEBUG, train, validation, tmp_path, seed=1, device=CPU).run(resume=True)
    relabelled = (replace(train[0], also=("fear",)), *train[1:])
    with pytest.raises(TrainingError, match="other data"):
        Fit(DEBUG, relabelled, validation, tmp_path, seed=0, device=CPU).run(resume=True)


def test_a_run_is_not_resumed_with_other_teachers(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(DEBUG, distil=0.5)
    rows = training_data(recipe, data_folder).train

    def said(share: float) -> SoftTargets:
        return _said_alike(len(rows), share)

    _fit(recipe, data_folder, tmp_path, teacher=said(0.1))._checkpoint(1)
    with pytest.raises(TrainingError, match="other teachers"):
        _fit(recipe, data_folder, tmp_path, teacher=said(0.2)).run(resume=True)


def test_where_the_teachers_alone_rank_the_labels_a_row_does_not(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(DEBUG, distil=0.5, presence=1.0)
    rows = training_data(recipe, data_folder).train
    said = _said_alike(len(rows), 0.1)
    said.alone[0] = True
    wanted = _fit(recipe, data_folder, tmp_path, teacher=said)._wanted(torch.tensor([0, 1]))
    assert wanted.shares[0].tolist() == pytest.approx([0.1] * len(LABELS))
    assert wanted.shares[1].max() == 1


def _said_alike(rows: int, share: float) -> SoftTargets:
    """Teachers that say the same of every row's labels, and nothing else."""
    shape = (rows, len(LABELS))
    silent, alone = np.full(shape, np.nan), np.zeros(rows, dtype=bool)
    return SoftTargets(np.full(shape, share), silent, np.full(rows, np.nan), alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_resumed_run_draws_the_same_random_numbers(data_folder: Path, tmp_path: Path) -> None:
    rows, cuda = training_data(DEBUG, data_folder), Device("cuda", bf16=False)
    drawn = []
    for resumed in (False, True):
        run = Fit(DEBUG, rows.train, rows.validation, tmp_path, seed=0, device=cuda)
        if resumed:
            torch.rand(1, device="cuda")
            run._restore()
        else:
            run._train_epoch(0)
            run.log.add(1, 1.0, 0.1, {"emotion": {"accuracy": 1.0, "macro_f1": 1.0}}, 1.0)
            run._checkpoint(1)
        drawn.append(torch.rand(4, device="cuda").tolist())
    assert drawn[0] == drawn[1]


def test_training_stops_when_validation_no_longer_improves(data_folder: Path, tmp_path: Path) -> None:
    stuck = replace(DEBUG, epochs=6, patience=1, learning_rate=0.0)
    run = _fit(stuck, data_folder, tmp_path)
    run.run()
    assert len(run.log.history) == 2
    assert run.log.best_epoch == 1


def test_adapters_are_merged_into_a_plain_model(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(LORA, base="random", epochs=1, lora_rank=2, max_tokens=64)
    run = _fit(recipe, data_folder, tmp_path)
    trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    assert trained < sum(p.numel() for p in run.model.parameters())
    run.run()
    assert not any("lora" in name for name in _weights(tmp_path))


def test_an_epoch_shows_a_share_of_a_source_as_often_as_the_recipe_says(
    data_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(DEBUG, sources={"emotion": 50, "written": 10}, repeats={"written": 3})
    run = _fit(recipe, data_folder, tmp_path)
    drawn = [run.train[i].source for i in run._drawn(0)]
    assert (drawn.count("emotion"), drawn.count("written")) == (50, 30)


def test_frozen_embeddings_stay_as_they_are(data_folder: Path, tmp_path: Path) -> None:
    run = _fit(replace(DEBUG, epochs=1, frozen_embeddings=True), data_folder, tmp_path)
    before = run.model.get_input_embeddings().weight.clone()
    run.run()
    assert (run.model.get_input_embeddings().weight == before).all()


def test_distillation_needs_a_teacher_and_takes_a_run_as_one(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    recipe = replace(DEBUG, distil=0.5, epochs=1)
    with pytest.raises(TrainingError, match="--teacher"):
        _fit(recipe, data_folder, tmp_path)
    rows = training_data(recipe, data_folder)
    few = soft_labels([debug_run], rows.train[:20], 7)
    soft = soft_labels([debug_run, debug_run], rows.train, 7)
    assert soft.shares.sum(axis=1) == pytest.approx(np.ones(len(rows.train)))
    again = soft_labels([debug_run], rows.train, 7)
    assert np.array_equal(soft.shares, again.shares)  # kept from the first time
    assert np.array_equal(soft.shares[:20], few.shares)  # and so was each text by itself
    assert not (soft.shares == 1).any()
    assert np.isnan(soft.present).all()  # it has learnt one label a text, and no distress
    assert np.isnan(soft.distress).all()
    unknown = soft_labels([debug_run], [Row("never read", "love", "elsewhere")], 7)
    assert unknown.shares.tolist() == [[0, 0, 1, 0, 0, 0, 0]]
    Fit(recipe, rows.train, rows.validation, tmp_path, seed=0, device=CPU, teacher=soft).run()
    with pytest.raises(TrainingError, match="7 labels, 6"):
        soft_labels([debug_run], rows.train, 6)


def test_those_who_learnt_nothing_else_say_which_label_stands_first(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    ranks = taught(debug_run, tmp_path / "ranks", row, [9.0, 0, 0, 0, 0, 0, 0])
    marks = taught(debug_run, tmp_path / "marks", row, [-9.0, 9, 9, -9, -9, -9, -9], presence=1.0)
    said = soft_labels([ranks, marks], [row], 7)
    assert said.shares[0].argmax() == 0
    assert (said.present[0] > 0.5).tolist() == [False, True, True, False, False, False, False]
    alone = soft_labels([marks], [row], 7)
    assert alone.shares[0, 1] == pytest.approx(0.5, abs=0.01)


def test_a_teacher_is_not_asked_in_a_language_that_it_never_learnt(debug_run: Path, tmp_path: Path) -> None:
    row = Row("nie gelesen", "love", "emotion", language="de")
    english = taught(debug_run, tmp_path / "en", row, [9.0, 0, 0, 0, 0, 0, 0], languages=["en"])
    assert soft_labels([english], [row], 7).shares[0].argmax() == LABELS.index("love")


def test_a_teacher_is_asked_of_the_sources_that_its_recipe_names(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "elsewhere")
    asked = taught(debug_run, tmp_path / "asked", row, [9.0, 0, 0, 0, 0, 0, 0], asked=["elsewhere"])
    assert soft_labels([asked], [row], 7).shares[0].argmax() == 0


def test_of_sources_that_are_left_untaught_no_teacher_speaks(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    ranks = taught(debug_run, tmp_path / "ranks", row, [9.0, 0, 0, 0, 0, 0, 0], presence=1.0)
    said = soft_labels([ranks], [row], 7, untaught=("emotion",))
    assert said.shares[0].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert np.isnan(said.present).all()


def test_outputs_of_presence_speak_for_the_emotions(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    outputs = [9.0, 0, 0, 0, 0, 0, -9, *(-9, 9, -9, -9, -9, 9)]
    marks = taught(debug_run, tmp_path / "marks", row, outputs, presence=1.0, presence_output=True)
    said = soft_labels([marks], [row], 7)
    assert (said.present[0] > 0.5).tolist() == [False, True, False, False, False, True, False]
    assert np.isnan(said.present[0, LABELS.index("neutral")])  # nobody taught that


def test_a_teacher_whose_rows_ranked_nothing_says_only_what_is_there(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    marks = taught(
        debug_run,
        tmp_path / "marks",
        row,
        [9.0, -9, -9, -9, -9, -9, -9],
        presence=1.0,
        unranked=["emotion", "written"],
    )
    said = soft_labels([marks], [row], 7)
    assert said.shares[0].argmax() == LABELS.index("love")
    assert np.nanargmax(said.present[0]) == 0
    assert np.isnan(said.present[0, LABELS.index("neutral")])  # of which it met nothing but plain cases


def test_a_teacher_says_nothing_of_a_label_that_it_never_met(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    marks = taught(debug_run, tmp_path / "marks", row, [9.0, -9, 2, -9, -9, -9, -9], presence=1.0)
    file = marks / RUN_FILE
    run = json.loads(file.read_text())
    run["train_rows"] = {"emotion": {"joy": 3, "sadness": 5}}
    file.write_text(json.dumps(run))
    said = soft_labels([marks], [row], 7)
    assert np.flatnonzero(~np.isnan(said.present[0])).tolist() == [0, 1]


def test_a_teacher_that_was_reopened_says_what_it_learnt_though_nobody_counted_its_rows(
    debug_run: Path, tmp_path: Path
) -> None:
    row = Row("never read", "love", "emotion")
    marks = taught(debug_run, tmp_path / "marks", row, [9.0, -9, 2, -9, -9, -9, -9], presence=1.0)
    write_facts(marks, run_of(marks).changed(train_rows={"emotion": {}}))
    said = soft_labels([marks], [row], 7)
    assert (said.present[0] > 0.5).tolist() == [True, False, True, False, False, False, False]


def test_a_recipe_of_one_language_takes_no_other(data_folder: Path) -> None:
    recipe = replace(DEBUG, sources={"languages": None, "distress": None, "messages": None})
    known = {row.language for row in training_data(recipe, data_folder).train}
    alone = training_data(replace(recipe, languages=("en",)), data_folder)
    assert len(known) > 1
    assert {row.language for row in alone.train} == {"en"}
    assert {row.language for rows in alone.validation.values() for row in rows} <= {"en"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU of CUDA's is here")
def test_steps_in_graphs_are_those_taken_one_by_one(data_folder: Path, tmp_path: Path) -> None:
    recipe = replace(DEBUG, dropout=0.0, augmentation=None, epochs=1)
    rows = training_data(recipe, data_folder)
    losses = []
    for graphed in (False, True):
        run = Fit(recipe, rows.train, rows.validation, tmp_path, seed=0, device=Device("cuda", bf16=False))
        if not graphed:
            run._take_step = lambda *batch, run=run: run._train_step(*(part.to("cuda") for part in batch))
        losses.append(run._train_epoch(0))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_no_training_row_is_like_a_held_out_one(data_folder: Path) -> None:
    from training.data.leakage import NearDuplicates
    from training.data.rows import load_emotion

    emotion = load_emotion(data_folder)
    held_out = NearDuplicates(row.text for row in (*emotion.validation, *emotion.test))
    assert not any(row.text in held_out for row in training_data(DEBUG, data_folder).train)


def test_what_the_package_is_tested_with_is_never_trained_on(data_folder: Path, tmp_path: Path) -> None:
    from training.data.messages import load_distress, load_languages, load_messages, load_replies

    written = (load_messages(), load_languages(), load_distress())
    held_out = [rows[0] for splits in written for rows in (splits.validation, splits.test)]
    held_out.append(load_replies()[0])
    data: Path = shutil.copytree(data_folder, tmp_path / "data")
    with (data / "emotion" / "train.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": row.text, "label": "joy"}) + "\n" for row in held_out)
    recipe = replace(DEBUG, sources={"emotion": None})
    assert not {row.text for row in held_out} & {row.text for row in training_data(recipe, data).train}


def test_predictions_come_back_in_the_order_of_the_rows(data_folder: Path, debug_run: Path) -> None:
    rows = training_data(DEBUG, data_folder).train[:20]
    classifier = open_classifier(debug_run)
    together = row_logits(classifier, rows)
    alone = np.concatenate([row_logits(classifier, [row]) for row in rows])
    assert together == pytest.approx(alone, abs=1e-4)


def test_validation_judges_only_by_the_labels_a_set_can_have() -> None:

    rows = [Row("", "joy", "x"), Row("", "fear", "x")]
    logits = np.array([[0, 1, 0, 0, 0, 0, 9.0], [0, 0, 0, 0, 2, 0, 9.0]])
    labels = ("sadness", "joy", "love", "anger", "fear", "surprise", "neutral")
    assert validation_score(logits, rows, labels)["accuracy"] == 1.0


def test_validation_judges_by_the_label_that_stands_first_where_the_rows_rank_theirs() -> None:
    logits = np.array([[5.0, 1, 0, 0, 0, 0, 0], [5, 1, 0, 0, 0, 0, 0]])
    ranked = [Row("", "joy", "x", also=("sadness",)), Row("", "sadness", "x", also=("joy",))]
    assert validation_score(logits, ranked, LABELS)["accuracy"] == 0.5
    asked = [replace(row, unknown=("love",)) for row in ranked]
    assert validation_score(logits, asked, LABELS)["accuracy"] == 1.0


def test_the_log_knows_its_best_epoch(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for epoch, score in enumerate((0.5, 0.9, 0.7), start=1):
        log.add(
            epoch, 1.0, 0.1, {"emotion": {"accuracy": score, "macro_f1": score, "nll": 1.0}}, 10.0 * epoch
        )
    assert (log.best_epoch, log.epochs_since_best, log.seconds) == (2, 1, 30.0)


def test_a_gpu_that_is_not_there_is_one_line() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(TrainingError, match="--device cpu"):
        Device.named("cuda")
