"""From logits to decisions: probabilities, windows, thresholds, distress."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model import EMOTIONS, LABELS, NEUTRAL, Calibration, Emotion, Encoded, Logits, ModelError
from model.calibration import DistressLevels, DistressWeights, Presence
from model.decide import LEVELS, DecisionRule, aggregate, probabilities, temperatures
from model.labels import LABEL2ID

ALL = tuple(range(len(LABELS)))
LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.just(len(LABELS))),
    elements=st.floats(-80, 80, width=32),
)


def encoded(*lengths: int) -> Encoded:
    return Encoded(tuple((1,) * length for length in lengths))


def logits_of(*rows: dict[str, float]) -> Logits:
    """Logits whose softmax is what each row says; labels left out share what is missing to 1."""
    filled = []
    for row in rows:
        rest = (1 - sum(row.values())) / (len(LABELS) - len(row))
        filled.append([row.get(label, rest) for label in LABELS])
    return np.log(np.array(filled)).astype(np.float32)


def decide_one(calibration: Calibration, **row: float) -> Emotion:
    (emotion,) = DecisionRule(calibration).decide([encoded(5)], logits_of(row))
    return emotion


class TestProbabilities:
    @given(LOGITS, st.floats(0.1, 10))
    def test_sum_to_one_and_keep_the_order_of_the_logits(self, logits: Logits, temperature: float) -> None:
        result = probabilities(logits, temperature, ALL)
        np.testing.assert_allclose(result.sum(axis=1), 1.0)
        strongest = logits.argmax(axis=1)
        np.testing.assert_array_equal(result[np.arange(len(logits)), strongest], result.max(axis=1))

    def test_a_higher_temperature_is_less_sure(self) -> None:
        logits = logits_of({"joy": 0.9})
        cool, warm = (probabilities(logits, temperature, ALL)[0] for temperature in (1.0, 2.0))
        assert cool[LABEL2ID["joy"]] == pytest.approx(0.9, abs=1e-6)
        assert warm[LABEL2ID["joy"]] < 0.7

    def test_logits_go_to_the_labels_that_the_model_names(self) -> None:
        columns = [LABEL2ID["joy"], LABEL2ID["anger"]]
        result = probabilities(np.array([[2.0, 0.0]], dtype=np.float32), 1.0, columns)[0]
        assert result[LABEL2ID["joy"]] == pytest.approx(0.8808, abs=1e-4)
        assert result[LABEL2ID["anger"]] == pytest.approx(0.1192, abs=1e-4)
        assert result[[LABEL2ID["sadness"], LABEL2ID[NEUTRAL]]].tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_logits_that_are_no_numbers_are_refused(self, bad: float) -> None:
        logits = np.zeros((2, len(LABELS)), dtype=np.float32)
        logits[1, 3] = bad
        with pytest.raises(ModelError, match="not finite"):
            DecisionRule(Calibration()).probabilities(logits)

    @given(LOGITS, st.floats(0.2, 5), st.floats(0, 1))
    def test_the_entropy_warms_what_is_undecided_and_keeps_the_order(
        self, logits: Logits, temperature: float, exponent: float
    ) -> None:
        by_window = temperatures(logits, temperature, exponent)
        assert by_window.shape == (len(logits), 1)
        assert (by_window <= temperature * (1 + 1e-9)).all()
        assert (by_window > 0).all()
        result = probabilities(logits, by_window, ALL)
        strongest = logits.argmax(axis=1)
        np.testing.assert_array_equal(result[np.arange(len(logits)), strongest], result.max(axis=1))

    def test_an_even_message_has_the_full_temperature_and_a_plain_one_less(self) -> None:
        logits = np.array([[0.0] * 7, [9.0, *[0.0] * 6]], dtype=np.float32)
        even, plain = temperatures(logits, 1.5, 0.2)[:, 0]
        assert even == pytest.approx(1.5)
        assert plain < 1.0
        assert temperatures(logits, 1.5, 0.0)[:, 0].tolist() == [1.5, 1.5]


class TestWindows:
    def test_windows_of_a_text_count_by_their_tokens(self) -> None:
        by_window = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        result = aggregate(by_window, [encoded(30, 10), encoded(7)])
        np.testing.assert_allclose(result, [[0.75, 0.25], [0.5, 0.5]])

    @given(st.lists(st.lists(st.integers(2, 512), min_size=1, max_size=4), min_size=1, max_size=8))
    def test_a_mean_of_probabilities_is_a_probability(self, texts: list[list[int]]) -> None:
        batch = [encoded(*lengths) for lengths in texts]
        generator = np.random.default_rng(0)
        by_window = generator.dirichlet(np.ones(7), sum(len(item.windows) for item in batch))
        result = aggregate(by_window, batch)
        assert result.shape == (len(batch), 7)
        np.testing.assert_allclose(result.sum(axis=1), 1.0)

    def test_the_number_of_windows_is_reported(self) -> None:
        emotions = DecisionRule(Calibration()).decide(
            [encoded(5), encoded(9, 9)], np.zeros((3, 7), dtype=np.float32)
        )
        assert [emotion.windows for emotion in emotions] == [1, 2]


class TestRule:
    def test_without_thresholds_the_most_probable_label_wins(self) -> None:
        assert decide_one(Calibration(), joy=0.4, neutral=0.3).label == "joy"
        assert decide_one(Calibration(), joy=0.3, neutral=0.4).label == NEUTRAL

    def test_a_threshold_moves_the_border_between_two_labels(self) -> None:
        # 0.3 / 0.25 beats 0.4 / 0.5
        decision = decide_one(Calibration(thresholds={"surprise": 0.25}), surprise=0.3, joy=0.4)
        assert decision.label == "surprise"
        assert decision.confidence == decision.scores["surprise"] == pytest.approx(0.3, abs=1e-6)

    def test_an_emotion_below_the_neutral_threshold_is_not_named(self) -> None:
        unsure = decide_one(Calibration(neutral_threshold=0.5), anger=0.45, neutral=0.2)
        assert unsure.label == NEUTRAL
        assert unsure.confidence == unsure.neutral == pytest.approx(0.2, abs=1e-6)
        assert decide_one(Calibration(neutral_threshold=0.5), anger=0.55).label == "anger"

    def test_a_model_without_a_neutral_logit_becomes_neutral_by_doubt(self) -> None:
        rule = DecisionRule(Calibration(neutral_threshold=0.5), columns=range(len(EMOTIONS)))
        unsure, sure = rule.decide(
            [encoded(5), encoded(5)], np.array([[1, 1, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0]], dtype=np.float32)
        )
        assert (unsure.label, unsure.neutral) == (NEUTRAL, 0.0)
        assert unsure.confidence == pytest.approx(1 - max(unsure.scores.values()))
        assert (sure.label, sure.neutral) == ("sadness", 0.0)

    @given(
        logits=LOGITS,
        thresholds=st.dictionaries(st.sampled_from(LABELS), st.floats(0.05, 1)),
        neutral_threshold=st.floats(0, 1),
    )
    def test_label_confidence_and_level_agree_with_the_numbers_beside_them(
        self, logits: Logits, thresholds: dict[str, float], neutral_threshold: float
    ) -> None:
        calibration = Calibration(thresholds=thresholds, neutral_threshold=neutral_threshold)
        levels = calibration.distress_levels
        for emotion in DecisionRule(calibration).decide([encoded(5)] * len(logits), logits):
            everything = {**emotion.scores, NEUTRAL: emotion.neutral}
            assert list(emotion.scores) == list(EMOTIONS)
            assert sum(everything.values()) == pytest.approx(1, abs=1e-5)
            assert emotion.confidence == everything[emotion.label]
            assert emotion.label == NEUTRAL or emotion.confidence >= neutral_threshold
            starts = (levels.watch, levels.elevated, levels.high)
            assert emotion.distress.level == LEVELS[sum(emotion.distress.score >= start for start in starts)]

    def test_an_empty_batch_has_no_decisions(self) -> None:
        assert DecisionRule(Calibration()).decide([], np.empty((0, 7), dtype=np.float32)) == []


class TestDistress:
    def test_is_the_weighted_sum_of_sadness_fear_and_anger(self) -> None:
        calibration = Calibration(distress_weights=DistressWeights(sadness=1.0, fear=0.5, anger=0.25))
        decision = decide_one(calibration, sadness=0.4, fear=0.2, anger=0.2, joy=0.1)
        assert decision.distress.score == pytest.approx(0.55, abs=1e-6)

    @pytest.mark.parametrize(
        ("sadness", "level"), [(0.2, "none"), (0.45, "watch"), (0.65, "elevated"), (0.85, "high")]
    )
    def test_levels_begin_at_their_scores(self, sadness: float, level: str) -> None:
        calibration = Calibration(distress_levels=DistressLevels(watch=0.4, elevated=0.6, high=0.8))
        rest = 1 - sadness
        assert decide_one(calibration, sadness=sadness, joy=rest * 0.99).distress.level == level

    def test_goes_through_the_calibration_map(self) -> None:
        calibration = Calibration(distress_map=((0.0, 0.0), (0.5, 0.1), (1.0, 1.0)))
        assert decide_one(calibration, sadness=0.75, joy=0.25 - 1e-9).distress.score == pytest.approx(0.55)

    @given(LOGITS)
    def test_stays_between_zero_and_one(self, logits: Logits) -> None:
        calibration = Calibration(distress_weights=DistressWeights(sadness=1, fear=1, anger=1))
        for emotion in DecisionRule(calibration).decide([encoded(3)] * len(logits), logits):
            assert 0.0 <= emotion.distress.score <= 1.0


SEVERAL = Calibration(
    presence={
        "sadness": Presence(threshold=0.5),
        "anger": Presence(scale=2.0, threshold=0.5),
        "fear": Presence(bias=-10.0, threshold=0.5),
    }
)


class TestLabels:
    def decide(self, **logits: float) -> Emotion:
        row = np.array([[logits.get(label, -8.0) for label in LABELS]], dtype=np.float32)
        (emotion,) = DecisionRule(SEVERAL).decide([encoded(5)], row)
        return emotion

    def test_every_emotion_over_its_threshold_is_named_strongest_first(self) -> None:
        assert self.decide(sadness=3.0, anger=2.0).labels == ("sadness", "anger")
        assert self.decide(sadness=1.0, anger=4.0).labels == ("anger", "sadness")

    def test_an_emotion_has_a_threshold_of_its_own(self) -> None:
        assert self.decide(sadness=3.0, fear=2.0).labels == ("sadness",)

    def test_the_label_is_the_first_of_them_even_below_its_threshold(self) -> None:
        emotion = self.decide(sadness=-0.5)
        assert (emotion.label, emotion.labels) == ("sadness", ("sadness",))

    def test_a_neutral_text_carries_none(self) -> None:
        assert self.decide(neutral=5.0, sadness=3.0).labels == ()

    @given(LOGITS)
    def test_they_never_contradict_the_label(self, logits: Logits) -> None:
        for calibration in (SEVERAL, Calibration()):
            for emotion in DecisionRule(calibration).decide([encoded(5)] * len(logits), logits):
                assert emotion.labels[:1] == (() if emotion.label == NEUTRAL else (emotion.label,))
                assert len(set(emotion.labels)) == len(emotion.labels)
                assert NEUTRAL not in emotion.labels


class TestDistressOutput:
    def decide(self, output: float, calibration: Calibration | None = None) -> Emotion:
        row = np.array([[3.0, 0, 0, 0, 0, 0, 0, output]], dtype=np.float32)
        (emotion,) = DecisionRule(calibration or Calibration()).decide([encoded(5)], row)
        return emotion

    def test_an_output_of_its_own_is_read_instead_of_the_labels(self) -> None:
        calm, upset = self.decide(-9.0), self.decide(9.0)
        assert (calm.label, upset.label) == ("sadness", "sadness")
        assert (calm.distress.level, upset.distress.level) == ("none", "high")

    def test_it_goes_through_the_map(self) -> None:
        mapped = Calibration(distress_map=((0.0, 0.0), (1.0, 0.4)))
        assert self.decide(60.0, mapped).distress.score == pytest.approx(0.4)

    @given(LOGITS)
    def test_it_changes_nothing_else(self, logits: Logits) -> None:
        rule = DecisionRule(Calibration())
        wider = np.concatenate([logits, np.zeros((len(logits), 1), np.float32)], axis=1)
        batch = [encoded(5)] * len(logits)
        for plain, other in zip(rule.decide(batch, logits), rule.decide(batch, wider), strict=True):
            assert (plain.label, plain.scores, plain.labels) == (other.label, other.scores, other.labels)


class TestPresenceOutputs:
    """Which emotions are there is another question than which stands first, and has outputs of its own."""

    def decide(self, labels: dict[str, float], presence: dict[str, float], distress: float = 0.0) -> Emotion:
        row = [labels.get(label, -8.0) for label in LABELS]
        row += [presence.get(emotion, -8.0) for emotion in EMOTIONS]
        logits = np.array([[*row, distress]], dtype=np.float32)
        (emotion,) = DecisionRule(SEVERAL).decide([encoded(5)], logits)
        return emotion

    def test_they_name_what_the_labels_logits_would_not(self) -> None:
        emotion = self.decide({"sadness": 3.0, "anger": -5.0}, {"anger": 2.0, "joy": -2.0})
        assert emotion.labels == ("sadness", "anger")

    def test_the_label_and_its_confidence_are_the_softmaxs(self) -> None:
        emotion = self.decide({"joy": 3.0}, {"sadness": 5.0, "anger": 5.0})
        assert emotion.label == "joy"
        assert emotion.labels[0] == "joy"
        assert emotion.confidence > 0.99

    def test_a_neutral_text_carries_none(self) -> None:
        assert self.decide({"neutral": 5.0}, {"sadness": 5.0}).labels == ()

    def test_distress_stands_behind_them(self) -> None:
        calm, upset = (self.decide({"joy": 3.0}, {"joy": 3.0}, output) for output in (-9.0, 9.0))
        assert (calm.distress.level, upset.distress.level) == ("none", "high")

    @pytest.mark.parametrize("beside", [2, 5, 8])
    def test_a_number_of_outputs_that_nobody_knows_is_refused(self, beside: int) -> None:
        logits = np.zeros((1, len(LABELS) + beside), dtype=np.float32)
        with pytest.raises(ModelError, match="export it again"):
            DecisionRule(SEVERAL).decide([encoded(5)], logits)
