"""A model that fails: only the culprit is given up, and a broken model gives up nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract import Emotion, Encoded, Logits
from model.fake import FakeClassifier
from stream.annotate.inference import ModelBrokenError, infer, tokenize
from stream.errors import Cause, MessageError


def encoded(model: FakeClassifier, texts: list[str]) -> list[Encoded]:
    return list(model.tokenize(texts))


@given(st.lists(st.booleans(), max_size=40))
def test_only_the_texts_that_make_the_model_fail_are_given_up(poisoned: list[bool]) -> None:
    model = FakeClassifier(fail_on=["poison"])
    texts = [f"{'poison' if bad else 'good'} {number}" for number, bad in enumerate(poisoned)]
    outcomes = infer(model, encoded(model, texts))
    assert [isinstance(outcome, MessageError) for outcome in outcomes] == poisoned
    alone = [model.decide([one], model.forward([one]))[0] for one in encoded(FakeClassifier(), texts)]
    for outcome, expected, bad in zip(outcomes, alone, poisoned, strict=True):
        if not bad:
            assert outcome == expected


def test_the_error_names_the_type_of_failure_and_not_the_text() -> None:
    model = FakeClassifier(fail_on=["secret"])
    [outcome] = infer(model, encoded(model, ["my secret diary"]))
    assert isinstance(outcome, MessageError)
    assert outcome.cause is Cause.MODEL_FAILED
    assert outcome.detail == "the model raised FakeFailureError on this text"


class BrokenClassifier(FakeClassifier):
    """Fails on everything, as a model whose device has gone."""

    def forward(self, batch: object) -> Logits:
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_a_model_that_fails_on_a_harmless_text_blames_no_message() -> None:
    model = BrokenClassifier()
    with pytest.raises(ModelBrokenError, match="no message was lost"):
        infer(model, encoded(model, ["one", "two", "three"]))


class ChokingTokenizer(FakeClassifier):
    """Cannot tokenize one text."""

    def tokenize(self, texts: object) -> list[Encoded]:
        assert isinstance(texts, list | tuple)
        if any("choke" in text for text in texts):
            raise ValueError("cannot tokenize")
        return super().tokenize(texts)


def test_a_text_that_cannot_be_tokenized_is_given_up_alone() -> None:
    outcomes = tokenize(ChokingTokenizer(), ["fine", "choke", "fine too"])
    assert [isinstance(outcome, MessageError) for outcome in outcomes] == [False, True, False]


def test_an_empty_batch_has_no_outcomes() -> None:
    outcomes: list[Emotion | MessageError] = infer(FakeClassifier(), [])
    assert outcomes == []
