"""The one door by which the stream gets a model: from the shipped weights, a folder, or a fake."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from model.contract import Model
from model.errors import ModelError
from model.fake import FakeClassifier, NullClassifier
from model.folder import DEFAULT, SHIPPED, ModelFolder
from model.runtimes.threads import usable_cores

__all__ = ["BUILT_IN", "DEFAULT", "FAKE_OPTIONS", "check", "folder_of", "load", "usable_cores"]

FAKE_OPTIONS: Final = ("delay_ms", "fail_on")
BUILT_IN: Final = frozenset({"fake", "null", *SHIPPED})
"""Names of models that are no folders of the user's."""


def load(
    spec: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    remember: int | None = None,
) -> Model:
    """A loaded model, ready for ``tokenize``, ``forward`` and ``decide``.

    ``spec`` is ``en`` (or None) or ``multilingual`` for the weights that ship with the package, the path of a
    Hugging Face folder, ``null`` for a model that does no work, or ``fake``:
    ``fake?delay_ms=20&fail_on=boom&fail_on=bang`` sleeps 20 ms a batch and fails on texts that hold "boom" or
    "bang". A folder of such a name is meant by ``./fake``.

    ``device``, ``precision``, ``threads`` and ``remember`` are those of ``EmotionClassifier.load``; None is
    its default.

    Raises ``ModelError`` with one line that says what to do.
    """
    name, _, options = (spec or "").partition("?")
    if name == "null":
        return NullClassifier()
    if name == "fake":
        return _fake(parse_qs(options, keep_blank_values=True))
    # Imported here, so that a fake model does not wait for the tokenizer, nor need it.
    from model.classifier import EmotionClassifier
    from model.memory import REMEMBER

    size = REMEMBER if remember is None else remember
    return EmotionClassifier.load(
        folder_of(spec), device=device, precision=precision, threads=threads, remember=size
    )


def check(spec: str | None = None, *, precision: str = "auto") -> None:
    """Refuse what ``load`` would refuse for the files alone, in the same words and without a runtime.

    Reads the small files and hashes the others piece by piece, which takes next to no memory.

    Raises ``ModelError`` with one line that says what to do.
    """
    name, _, options = (spec or "").partition("?")
    if name == "fake":
        _fake(parse_qs(options, keep_blank_values=True))
    elif name != "null":
        ModelFolder.open(folder_of(spec)).weights(precision)


def folder_of(spec: str | None) -> Path:
    """Where the weights lie that ``load`` would take; whether there are any is not looked at."""
    name = spec or DEFAULT
    return SHIPPED.get(name, Path(name))


def _fake(options: Mapping[str, list[str]]) -> FakeClassifier:
    if unknown := sorted(set(options) - set(FAKE_OPTIONS)):
        raise ModelError(f"fake model: unknown option {unknown[0]!r}; there are {', '.join(FAKE_OPTIONS)}")
    delay_ms = options.get("delay_ms", ["0"])[-1]
    try:
        return FakeClassifier(delay_ms=float(delay_ms), fail_on=options.get("fail_on", []))
    except ValueError as error:
        raise ModelError(f"fake model: delay_ms must be a number, not {delay_ms!r}") from error
