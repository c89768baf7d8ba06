"""Batches hold every row once, in few shapes; losses and dropout do what their papers say."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.labels import LABELS
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.batches import PAD_MULTIPLE, collate, ordered_batches, training_batches
from training.fit.dropout import SequenceDropout, share_dropout_along_sequence
from training.fit.losses import Wanted, class_weights, loss
from training.fit.recipe import Recipe
from training.fit.recipes import BEST, DEBUG, RECIPES, REPORT, recipe_named

IDS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=40), min_size=1, max_size=80)


@given(IDS, st.integers(1, 16), st.integers())
def test_an_epoch_holds_every_row_once(ids: list[list[int]], size: int, seed: int) -> None:
    batches = list(training_batches(ids, size, random.Random(seed), pad_id=0))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(ids)))
    assert all(len(batch.rows) <= size for batch in batches)


@given(IDS)
def test_padding_is_masked_and_widths_are_multiples(ids: list[list[int]]) -> None:
    batch = collate(ids, range(len(ids)), pad_id=0)
    assert batch.input_ids.shape[1] % PAD_MULTIPLE == 0
    assert batch.attention_mask.sum(dim=1).tolist() == [len(row) for row in ids]
    assert [row[: len(own)] for row, own in zip(batch.input_ids.tolist(), ids, strict=True)] == ids


def test_inference_goes_from_short_to_long() -> None:
    widths = [batch.input_ids.shape[1] for batch in ordered_batches([[1] * n for n in (30, 1, 12, 5)], 1, 0)]
    assert widths == sorted(widths)


def _logits() -> torch.Tensor:
    return torch.randn(5, 7, generator=torch.Generator().manual_seed(0))


def _wanted(labels: torch.Tensor, soft: torch.Tensor | None = None) -> Wanted:
    """One label a text, all of it known, and no grade of distress."""
    present = torch.nn.functional.one_hot(labels, len(BEST.labels)).float()
    return Wanted(
        labels, present, present, torch.ones_like(present), torch.full(labels.shape, torch.nan), soft
    )


def test_r_drop_costs_nothing_when_both_passes_agree() -> None:
    labels, logits = torch.tensor([0, 1, 2, 3, 4]), _logits()
    plain = loss([logits], _wanted(labels), BEST, None)
    both = loss([logits, logits], _wanted(labels), replace(BEST, r_drop=1.0), None)
    apart = loss([logits, -logits], _wanted(labels), replace(BEST, r_drop=1.0), None)
    assert both.item() == pytest.approx(plain.item(), abs=1e-6)
    assert apart.item() > both.item()


def test_distillation_alone_is_least_at_the_teachers_own_logits() -> None:
    labels, logits = torch.tensor([0, 1, 2, 3, 4]), _logits()
    recipe = replace(BEST, distil=1.0)
    wanted = _wanted(labels, soft=logits.softmax(dim=1))
    at_teacher = loss([logits], wanted, recipe, None)
    elsewhere = loss([logits + _logits().flip(0)], wanted, recipe, None)
    assert at_teacher < elsewhere


def test_class_weights_favour_rare_labels_and_keep_the_mean() -> None:
    rows = [Row("", "joy", "x")] * 90 + [Row("", "fear", "x")] * 10
    weights = class_weights(rows, REPORT)
    assert weights is not None
    joy, fear = weights[REPORT.labels.index("joy")], weights[REPORT.labels.index("fear")]
    assert fear / joy == pytest.approx(9.0)
    assert 0.9 * joy + 0.1 * fear == pytest.approx(1.0)
    assert class_weights(rows, replace(REPORT, class_weights="none")) is None


def test_sequence_dropout_drops_the_same_features_of_every_token() -> None:
    torch.manual_seed(0)
    dropout = SequenceDropout(0.5)
    dropped = dropout(torch.ones(4, 6, 32))
    assert (dropped == dropped[:, :1, :]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropout.eval()(torch.ones(4, 6, 32)), torch.ones(4, 6, 32))


def test_every_dropout_of_a_module_is_replaced() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Dropout(0.3)))
    share_dropout_along_sequence(module)
    kinds = [type(part) for part in module.modules()]
    assert torch.nn.Dropout not in kinds
    assert SequenceDropout in kinds


def test_recipes_are_found_by_name_and_the_unknown_is_refused() -> None:
    assert recipe_named("report") is REPORT
    with pytest.raises(TrainingError, match=f"there are {', '.join(RECIPES)}"):
        recipe_named("worst")


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"label_smoothing": 1.0}])
def test_a_recipe_that_cannot_be_trained_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match="recipe debug"):
        replace(DEBUG, **wrong)  # type: ignore[arg-type]


def test_the_reports_recipe_is_the_reports_own() -> None:
    assert (REPORT.batch_size, REPORT.learning_rate, REPORT.epochs) == (16, 5e-5, 5)
    assert REPORT.class_weights == "balanced"
    assert list(REPORT.sources) == ["emotion"]


def test_best_knows_all_seven_labels() -> None:
    assert BEST.labels == LABELS
    assert all(isinstance(recipe, Recipe) for recipe in RECIPES.values())
