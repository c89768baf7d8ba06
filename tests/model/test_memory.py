"""Equal texts are computed once, and nobody can tell from the answers."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import EmotionClassifier, Logits
from model.memory import Memory, MemoryUse

WINDOW = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)


class Counting:
    """A runtime whose logits are a function of the ids alone, and which counts the windows it was given."""

    device = precision = "none"

    def __init__(self) -> None:
        self.computed = 0
        self.broken = False
        self.offset = 0.0

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        if self.broken:
            raise RuntimeError("the device is gone")
        self.computed += len(windows)
        rows = [[len(window), *np.bincount(window, minlength=4), window[0]] for window in windows]
        return np.array(rows, dtype=np.float32).reshape(len(windows), 6) + np.float32(self.offset)


@settings(max_examples=60)
@given(st.lists(st.lists(WINDOW, max_size=8), max_size=8), st.integers(0, 5))
def test_answers_are_those_of_the_runtime_whatever_is_remembered(
    batches: list[list[tuple[int, ...]]], size: int
) -> None:
    memory = Memory(Counting(), size)
    for batch in batches:
        np.testing.assert_array_equal(memory.forward(batch), Counting().forward(batch))


def test_equal_windows_of_a_batch_are_computed_once() -> None:
    runtime = Counting()
    memory = Memory(runtime, 0)
    memory.forward([(1, 2), (3,), (1, 2), (1, 2)])
    assert (runtime.computed, memory.use) == (2, MemoryUse(asked=4, known=2))
    memory.forward([(1, 2)])
    assert runtime.computed == 3


def test_memory_is_taken_as_windows_come_whatever_the_bound() -> None:
    runtime = Counting()
    memory = Memory(runtime, sys.maxsize)
    batches = [[(number % 4, *(0,) * (number // 4))] for number in range(12)]
    for batch in [*batches, *batches]:
        memory.forward(batch)
    assert (runtime.computed, memory.use.known) == (12, 12)


def test_what_is_remembered_outlasts_that_there_is_more_of_it() -> None:
    runtime = Counting()
    memory = Memory(runtime, 6000)
    windows = list(itertools.islice(itertools.product(range(4), repeat=7), 5000))
    for start in range(0, len(windows), 700):
        memory.forward(windows[start : start + 700])
    assert runtime.computed == 5000
    np.testing.assert_array_equal(memory.forward(windows), Counting().forward(windows))
    assert runtime.computed == 5000


def test_equal_windows_of_later_batches_are_not_computed_again() -> None:
    runtime = Counting()
    memory = Memory(runtime, 10)
    for _ in range(5):
        memory.forward([(1, 2), (3,)])
    assert runtime.computed == 2
    assert memory.use.hit_rate == pytest.approx(0.8)


def test_what_was_used_last_stays_when_the_memory_is_full() -> None:
    runtime = Counting()
    memory = Memory(runtime, 2)
    for window in ((1,), (2,), (1,), (3,), (1,)):
        memory.forward([window])
    assert runtime.computed == 3


def test_an_answer_that_its_reader_changes_is_not_remembered_changed() -> None:
    memory = Memory(Counting(), 10)
    memory.forward([(1,), (2,)])[:] = 0
    np.testing.assert_array_equal(memory.forward([(1,), (2,)]), Counting().forward([(1,), (2,)]))


def test_a_runtime_that_fails_is_asked_again_for_what_it_once_knew() -> None:
    runtime = Counting()
    memory = Memory(runtime, 10)
    memory.forward([(1,)])
    runtime.broken = True
    for window in ((2,), (1,)):
        with pytest.raises(RuntimeError):
            memory.forward([window])


def test_logits_that_are_not_finite_are_not_remembered() -> None:
    runtime = Counting()
    memory = Memory(runtime, 10)
    runtime.offset = np.nan
    memory.forward([(1,)])
    runtime.offset = 0.0
    assert np.isfinite(memory.forward([(1,)])).all()


def test_a_classifier_says_the_same_with_and_without_a_memory(tiny_folder: Path) -> None:
    texts = ["i feel so happy today", "tears", "i feel so happy today", "order the parcel"]
    remembering, plain = (EmotionClassifier.load(tiny_folder, "cpu", "int8", remember=n) for n in (100, 0))
    for _ in range(2):
        batch = plain.tokenize(texts)
        np.testing.assert_allclose(remembering.forward(batch), plain.forward(batch), atol=1e-5)
    assert remembering.memory_use == MemoryUse(asked=8, known=5)
    assert plain.memory_use == MemoryUse(asked=8, known=2)


def test_warming_up_leaves_nothing_behind(tiny_folder: Path) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu", "int8")
    classifier.warm_up()
    assert classifier.memory_use.asked == 0
