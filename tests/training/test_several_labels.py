"""Texts with several feelings: how the sets are read, what is learnt from them, when one counts as there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import Calibration
from model.decide import DecisionRule, logistic
from model.folder import ModelFolder
from model.labels import EMOTIONS, LABELS
from training.data.brighter import load_brighter
from training.data.messages import load_distress, load_languages
from training.data.rows import Row
from training.data.xed import load_xed
from training.errors import DataError
from training.evaluate.calibrate import calibrate
from training.evaluate.distress import distress_scores
from training.evaluate.predict import open_classifier
from training.evaluate.scores import language_scores
from training.evaluate.several import by_language, carried, cross_validated_f1, fit_presences
from training.fit.losses import Wanted, loss
from training.fit.recipes import MULTILINGUAL_MESSAGES, MULTILINGUAL_POLISH
from training.fit.targets import targets
from training.runs import RUN_FILE


@pytest.fixture
def brighter(tmp_path: Path) -> Path:
    for part in ("train", "dev"):
        folder = tmp_path / "brighter" / part
        folder.mkdir(parents=True)
        (folder / "eng.csv").write_text(
            'id,text,anger,fear,joy,sadness,surprise\n1,"scared, sad",0,1,0,1,0\n2,plain,0,0,0,0,0\n'
        )
        (folder / "deu.csv").write_text(
            "id,text,anger,disgust,fear,joy,sadness\n1,eklig,0,1,0,0,0\n2,wut,1,1,0,0,0\n3,igitt,0,1,0,1,0\n"
        )
    return tmp_path


class TestBrighter:
    def test_a_text_carries_every_label_marked_and_none_is_neutral(self, brighter: Path) -> None:
        both, plain = load_brighter(brighter, ["eng"]).train
        assert (both.text, set(both.labels), both.language) == ("scared, sad", {"fear", "sadness"}, "en")
        assert plain.labels == ("neutral",)

    def test_what_nobody_was_asked_for_is_unknown(self, brighter: Path) -> None:
        english, german = (load_brighter(brighter, [name]).validation for name in ("eng", "deu"))
        assert {row.unknown for row in english} == {("love",)}
        assert all({"love", "surprise"} <= set(row.unknown) for row in german)

    def test_disgust_leaves_anger_open_where_nobody_marked_it(self, brighter: Path) -> None:
        disgust, anger, mixed = load_brighter(brighter, ["deu"]).train
        assert "anger" in disgust.unknown
        assert (anger.labels, "anger" in anger.unknown) == (("anger",), False)
        assert (mixed.labels, "anger" in mixed.unknown) == (("joy",), True)

    def test_a_broken_row_is_named_by_its_line(self, brighter: Path) -> None:
        (brighter / "brighter" / "train" / "eng.csv").write_text(
            "id,text,anger,fear,joy,sadness\n1,x,often,0,0,0\n"
        )
        with pytest.raises(DataError, match=r"eng\.csv:2: expected id, text"):
            load_brighter(brighter, ["eng"])
        for broken in ("id,text,anger\n1,müde,0\n".encode("latin-1"), b"id,text,anger\n1,a\rb,0\n"):
            (brighter / "brighter" / "train" / "eng.csv").write_bytes(broken)
            with pytest.raises(DataError, match=r"eng\.csv:\d: expected id, text.*UTF-8"):
                load_brighter(brighter, ["eng"])

    def test_a_folder_without_it_says_what_to_name(self, tmp_path: Path) -> None:
        for folder in (None, tmp_path):
            with pytest.raises(DataError, match=r"brighter/ with --data"):
                load_brighter(folder, ["eng"])


class TestXed:
    def write(self, folder: Path, english: str, projection: str = "") -> Path:
        root = folder / "xed"
        (root / "projections").mkdir(parents=True)
        (root / "en-annotated.tsv").write_text(english)
        (root / "neu_en.txt").write_text("9\tTwo pair.\n")
        (root / "projections" / "de-projections.tsv").write_text(projection)
        return folder

    def everything(self, folder: Path, *languages: str) -> dict[str, Row]:
        splits = load_xed(folder, languages)
        return {row.text: row for row in (*splits.train, *splits.validation, *splits.test)}

    def test_numbers_become_labels_and_trust_alone_says_nothing(self, tmp_path: Path) -> None:
        rows = self.everything(self.write(tmp_path, "Get out !\t1, 7\nTrust me .\t8\nYuck .\t3\n"))
        assert rows.keys() == {"Get out !", "Yuck .", "Two pair."}
        assert rows["Get out !"].labels == ("anger", "surprise")
        assert rows["Get out !"].unknown == ("love",)
        assert rows["Yuck ."].unknown == ("love", "anger")
        assert rows["Two pair."].labels == ("neutral",)

    def test_a_torn_line_is_passed_over_in_projections_alone(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path, "Help !\t4\n", "Hilfe!\t4\ntorn\nen/1.gz\tde/1.gz\tno\tnein\n")
        assert self.everything(folder, "de")["Hilfe!"].language == "de"
        (folder / "xed" / "en-annotated.tsv").write_text("Help !\t4\ntorn\n")
        with pytest.raises(DataError, match=r"en-annotated\.tsv:2"):
            load_xed(folder)

    def test_the_same_line_lies_in_the_same_part_whatever_else_is_there(self, tmp_path: Path) -> None:
        lines = [f"line {n} .\t5\n" for n in range(300)]
        folder = self.write(tmp_path, "".join(lines))
        before = load_xed(folder)
        (folder / "xed" / "en-annotated.tsv").write_text("".join(reversed(lines[:150])))
        after = load_xed(folder)
        assert set(after.test) <= set(before.test)
        assert 15 <= len(before.test) <= 50
        assert 15 <= len(before.validation) <= 50


ROW = st.builds(
    lambda labels, unknown, grade: Row(
        "x", labels[0], "brighter", also=tuple(labels[1:]), unknown=tuple(unknown), distress=grade
    ),
    st.one_of(st.just(["neutral"]), st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=3, unique=True)),
    st.lists(st.sampled_from(EMOTIONS), max_size=3, unique=True),
    st.sampled_from([None, 0, 1, 2, 3]),
)


class TestLearning:
    @given(st.lists(ROW, min_size=1, max_size=8))
    def test_shares_are_of_the_labels_and_nothing_where_one_is_unknown(self, rows: list[Row]) -> None:
        found = targets(rows, LABELS)
        for i, row in enumerate(rows):
            settled = not set(row.labels) & set(row.unknown)
            assert found.shares[i].sum() == pytest.approx(1.0 if settled else 0.0)
            assert {LABELS[k] for k in np.flatnonzero(found.present[i])} == set(row.labels)

    def test_rows_that_rank_nothing_say_which_emotions_are_there_and_no_more(self) -> None:
        moved = Row("x", "anger", "xed", also=("fear",))
        calm, ranked = Row("x", "neutral", "xed"), Row("x", "anger", "emotion")
        found = targets([moved, calm, ranked], LABELS, unranked=("xed",))
        assert found.shares.sum(axis=1).tolist() == [0.0, 1.0, 1.0]
        assert found.present[0].sum() == 2
        assert found.known[:, LABELS.index("neutral")].tolist() == [0.0, 1.0, 1.0]
        assert found.known[0, : len(EMOTIONS)].all()

    def outcome(self, rows: list[Row], outputs: torch.Tensor, *soft: torch.Tensor) -> torch.Tensor:
        own = targets(rows, LABELS)
        numbers = (own.shares, own.present, own.known, own.distress, own.grade_weight)
        parts = (torch.from_numpy(part).float() for part in numbers)
        labels = torch.tensor([LABELS.index(row.label) for row in rows])
        return loss([outputs], Wanted(labels, *parts, *soft), MULTILINGUAL_POLISH, None)

    def test_an_unknown_label_does_not_move_its_logit_by_the_sigmoids(self) -> None:
        row = Row("x", "anger", "brighter", unknown=("anger", "love"))
        outputs = torch.zeros(1, len(LABELS) + 1, requires_grad=True)
        (gradient,) = torch.autograd.grad(self.outcome([row], outputs), outputs)
        known, unknown = gradient[0, LABELS.index("joy")], gradient[0, LABELS.index("anger")]
        assert known > 0.4
        assert abs(unknown) < 0.05  # label smoothing alone

    def test_outputs_of_their_own_learn_which_emotions_are_there_and_leave_the_softmax_alone(self) -> None:
        row = Row("x", "anger", "xed", also=("fear",))
        outputs = torch.zeros(1, len(LABELS) + len(EMOTIONS) + 1, requires_grad=True)
        own = targets([row], LABELS, unranked=("xed",))
        numbers = (own.shares, own.present, own.known, own.distress, own.grade_weight)
        wanted = Wanted(torch.tensor([3]), *(torch.from_numpy(part).float() for part in numbers))
        outcome = loss([outputs], wanted, replace(MULTILINGUAL_MESSAGES, label_smoothing=0.0), None)
        (gradient,) = torch.autograd.grad(outcome, outputs)
        labels, emotions = gradient[0, : len(LABELS)], gradient[0, len(LABELS) : -1]
        assert labels.tolist() == [0.0] * len(LABELS)
        assert {EMOTIONS[k] for k in np.flatnonzero(emotions < 0)} == {"anger", "fear"}
        assert (emotions != 0).all()

    def test_a_grade_counts_more_than_a_calm_text(self) -> None:
        graded, suffering = Row("x", "joy", "distress", distress=0), Row("x", "fear", "languages", distress=2)
        ordinary, calm = Row("x", "joy", "languages", distress=0), Row("x", "joy", "emotion")
        unsaid = Row("x", "sadness", "emotion")
        weights = targets([graded, suffering, ordinary, calm, unsaid], LABELS).grade_weight
        assert weights[:2].tolist() == [1.0, 1.0]
        assert 0 < weights[2] == weights[3] < 0.5
        assert weights[4] == 0.0

    def test_distress_learns_from_graded_rows_alone(self) -> None:
        graded = Row("x", "sadness", "languages", distress=3)
        ungraded = Row("x", "sadness", "emotion")
        for row, moves in ((graded, True), (ungraded, False)):
            outputs = torch.zeros(1, len(LABELS) + 1, requires_grad=True)
            (gradient,) = torch.autograd.grad(self.outcome([row], outputs), outputs)
            assert bool(gradient[0, -1] < 0) is moves

    def test_teachers_speak_where_nobody_was_asked(self) -> None:
        rows = [Row("x", "anger", "brighter", unknown=("anger", "love"))] * 2
        said = torch.full((2, len(LABELS)), 0.1)
        said[:, LABELS.index("love")] = 0.9
        said[1] = torch.nan  # no teacher was asked of the second row
        grades = torch.tensor([0.8, torch.nan])
        outputs = torch.zeros(2, len(LABELS) + 1, requires_grad=True)
        outcome = self.outcome(rows, outputs, torch.full((2, len(LABELS)), 1 / 7), said, grades)
        (gradient,) = torch.autograd.grad(outcome, outputs)
        asked, silent = gradient[0] - gradient[1], gradient[1]
        assert asked[LABELS.index("love")] < -0.1
        assert asked[-1] < -0.05
        assert silent[-1] == 0
        assert not outcome.isnan()


class TestProjections:
    """Nothing tells translations of XED's held-out lines: who learnt projections is not judged by it."""

    @pytest.fixture
    def data(self, data_folder: Path, tmp_path: Path) -> Path:
        folder: Path = shutil.copytree(data_folder, tmp_path / "data")
        (folder / "xed").mkdir()
        (folder / "xed" / "en-annotated.tsv").write_text(
            "".join(f"line {n}\t{1 + n % 7}\n" for n in range(300))
        )
        (folder / "xed" / "neu_en.txt").write_text("9\tTwo pair.\n")
        return folder

    def test_xed_is_scored_for_weights_of_english_alone(self, data: Path, debug_run: Path) -> None:
        classifier, columns = open_classifier(debug_run, device="cpu"), ModelFolder.open(debug_run).columns
        for languages, scored in (({"en": 0.7}, True), ({"en": 0.6, "de": 0.5}, False)):
            rule = DecisionRule(Calibration(languages=languages), columns)
            assert ("xed_en" in language_scores(classifier, rule, data)) is scored

    @pytest.mark.parametrize(("languages", "fitted"), [(["en"], True), ([], False)])
    def test_presence_is_fitted_on_xed_where_english_alone_was_trained_on(
        self, data: Path, debug_run: Path, tmp_path: Path, languages: list[str], fitted: bool
    ) -> None:
        run = shutil.copytree(debug_run, tmp_path / "run")
        facts = json.loads((run / RUN_FILE).read_text())
        facts["recipe"]["languages"] = languages
        facts["train_rows"] |= {"xed": {}}
        (run / RUN_FILE).write_text(json.dumps(facts))
        assert ("fear" in calibrate(run, data, device="cpu").presence) is fitted


class TestThresholds:
    def rows(self, count: int) -> tuple[list[Row], np.ndarray]:
        rng = np.random.default_rng(0)
        rows, logits = [], rng.normal(-3, 0.5, (count, len(LABELS)))
        for i in range(count):
            labels = [EMOTIONS[k] for k in rng.permutation(6)[: 1 + i % 2]]
            logits[i, [LABELS.index(label) for label in labels]] += 2.5  # over the rest, but below 0
            language = "de" if i % 3 else "en"
            rows.append(Row(str(i), labels[0], "brighter", also=tuple(labels[1:]), language=language))
        return rows, logits

    def test_a_fitted_threshold_finds_what_one_half_misses(self) -> None:
        rows, logits = self.rows(400)
        part = carried(rows, logits)
        assert (logistic(part.logits) > 0.5).mean() < 0.2 * part.present.mean()
        presences = fit_presences([part])
        assert presences.keys() == set(EMOTIONS)
        for k, emotion in enumerate(EMOTIONS):
            presence = presences[emotion]
            said = logistic(part.logits[:, k] * presence.scale + presence.bias) >= presence.threshold
            assert (said == (part.present[:, k] > 0)).mean() > 0.95

    def test_cross_validation_scores_each_language_and_never_its_own_fold(self) -> None:
        rows, logits = self.rows(400)
        assert all(score > 0.9 for score in by_language(rows, logits).values())
        noise = carried(rows, np.random.default_rng(1).normal(size=logits.shape))
        assert cross_validated_f1(noise) < 0.5

    def test_an_emotion_that_nobody_was_asked_for_has_no_threshold(self) -> None:
        rows, logits = self.rows(200)
        blind = [Row(r.text, r.label, r.source, also=r.also, unknown=("love",)) for r in rows]
        assert "love" not in fit_presences([carried(blind, logits)])


class TestDistress:
    def test_the_score_is_measured_by_order_and_by_level(self) -> None:
        rows = [
            Row("x", "neutral", "distress", unknown=LABELS, distress=grade) for grade in (0, 1, 2, 3) * 10
        ]
        perfect = np.array([0.05, 0.3, 0.75, 0.95] * 10)
        scores = distress_scores(perfect, rows, Calibration())
        assert scores["auc"] == scores["despair_auc"] == 1.0
        assert (scores["watch_precision"], scores["watch_recall"]) == (1.0, 1.0)
        assert scores["high_recall"] == 0.5


class TestWrittenMessages:
    def test_languages_are_read_with_all_their_labels_and_grades(self, tmp_path: Path) -> None:
        folder = tmp_path / "languages"
        folder.mkdir()
        line = {
            "text": "Ich kann nicht mehr",
            "label": "sadness",
            "labels": ["sadness", "fear"],
            "distress": 3,
        }
        (folder / "de.jsonl").write_text(json.dumps(line) + "\n")
        (folder / "de_test.jsonl").write_text(json.dumps(line | {"text": "Danke dir", "distress": 0}) + "\n")
        splits = load_languages(tmp_path)
        (row,) = (*splits.train, *splits.validation)
        assert (row.labels, row.language, row.distress) == (("sadness", "fear"), "de", 3)
        assert [row.text for row in splits.test] == ["Danke dir"]

    def test_a_grade_alone_says_nothing_of_feelings(self, tmp_path: Path) -> None:
        for name in ("distress", "distress_test"):
            (tmp_path / f"{name}.jsonl").write_text(
                json.dumps({"text": f"{name} x", "lang": "es", "distress": 2}) + "\n"
            )
        (row,) = load_distress(tmp_path).test
        assert (set(row.unknown), row.language, row.distress) == (set(LABELS), "es", 2)

    def test_the_shipped_ones_repeat_nothing_and_hold_their_tests_apart(self) -> None:
        for splits in (load_languages(), load_distress()):
            trained = [row.text for row in (*splits.train, *splits.validation)]
            tested = [row.text for row in splits.test]
            assert len(trained) == len(set(trained))
            assert len(tested) == len(set(tested))
            assert not set(trained) & set(tested)
