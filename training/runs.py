"""The folder of a run: what stands in it beside the model, by name, and the command that made it.

``run.json`` is written by ``fit``, ``reopen``, ``average``, ``refit``, ``probe`` and ``crossfit``, each of
which knows another part of it, and outlives versions: what a reader may find missing is None or empty here.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from model import manifest
from model.calibration import FILE_NAME as CALIBRATION_FILE
from model.folder import CONFIG_FILE, INT8_ONNX_FILE, SAFETENSORS_FILE
from training.data.rows import Resplit
from training.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT: Final = "checkpoint.pt"
"""What the next epoch depends on, until the run is finished; see ``training.fit.checkpoint``."""
LOG_FILE: Final = "log.csv"
"""The learning curve, a row an epoch."""
RUN_FILE: Final = "run.json"
"""Recipe, command, rows and history of the run."""
PROBE_FILE: Final = "probe.npz"
CROSSFIT_FILE: Final = "crossfit.npz"
"""What a probe and cross-fitted readings have in the place of a model."""
MODEL_FILES: Final = (SAFETENSORS_FILE, INT8_ONNX_FILE, CONFIG_FILE)
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")

Score = Annotated[float, BeforeValidator(lambda given: math.nan if given is None else given)]
"""A number as ``as_json`` writes it: null is none."""
Facts = TypeVar("Facts", bound=BaseModel)


class RecipeFacts(BaseModel):
    """What is read of a run's recipe (``training.fit.recipe``). A probe has neither base nor sources."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    base: str = ""
    sources: dict[str, int | None] = {}
    languages: tuple[str, ...] = ()
    unranked: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    presence: float = 0.0
    presence_output: bool = False
    distress: float = 0.0


class RunFacts(BaseModel):
    """What a run wrote about itself. ``train_rows``: rows of each label by source, none where nobody counted.

    ``averaged`` are shares by run, ``refitted`` is the command that did so.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    command: str
    recipe: RecipeFacts
    train_rows: dict[str, dict[str, int]]
    validation_rows: dict[str, int] | None = None
    seed: int | None = None
    resplit: Resplit | None = None
    device: str | None = None
    parameters: int | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    history: list[dict[str, Score]] = []
    averaged: dict[str, float] = {}
    refitted: str | None = None

    def changed(self, **facts: object) -> dict[str, Any]:
        """All that the file held, with other ``facts``: for ``write_facts``."""
        return self.model_dump(exclude_unset=True) | facts


def facts_of(folder: Path) -> RunFacts | None:
    """What the run in ``folder`` wrote about itself; None where it is no run of this package.

    Raises ``TrainingError`` for a file that is cut or edited beyond use.
    """
    file = folder / RUN_FILE
    if not file.is_file():
        return None
    return read_facts(file, RunFacts, "copy it again from where the run was made, or train the run anew")


def run_of(folder: Path) -> RunFacts:
    """The same of what must be a run. Raises ``TrainingError``."""
    facts = facts_of(folder)
    if facts is None:
        raise TrainingError(f"{folder} is no run: emotion-train fit --out {folder} makes one")
    return facts


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the ``run.json`` of a run."""
    (folder / RUN_FILE).write_text(as_json(facts), encoding="utf-8")


def as_json(content: object) -> str:
    """JSON that every parser reads: null stands for no number, as the ROC-AUC of a label without rows."""
    return json.dumps(_with_null(content), indent=2) + "\n"


def _with_null(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _with_null(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_facts(file: Path, kind: type[Facts], remedy: str) -> Facts:
    """A JSON file of a run as ``kind``.

    Raises ``TrainingError``, which names the file, the first field that is missing or wrong, and ``remedy``.
    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise TrainingError(f"{file} cannot be read ({error.strerror}): {remedy}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise TrainingError(f"{file}: {f'{place}: ' if place else ''}{first['msg']}; {remedy}") from error


def read_arrays(file: Path, remedy: str, *names: str) -> tuple[npt.NDArray[Any], ...]:
    """Arrays of a file of ``numpy.savez``, in the order of their names.

    Raises ``TrainingError``, which names the file and ``remedy``, where one is missing, or the file is cut.
    """
    try:
        with file.open("rb") as content, np.load(content) as saved:
            return tuple(saved[name] for name in names)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise TrainingError(f"{file} cannot be read: {remedy}") from error


def weights_of(run: Path) -> "dict[str, Tensor]":
    """The weights of a run by their names. Raises ``TrainingError`` where their file is missing, or cut."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = run / SAFETENSORS_FILE
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{file} cannot be read ({error}): copy the run again, or train it anew"
        ) from error


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """What keeps files of a run from being written (a full disk, rights), as a ``TrainingError``."""
    try:
        yield
    except Exception as error:  # torch, safetensors and tokenizers each raise their own
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise TrainingError(
            f"{folder} cannot be written to ({reason}): make room, or name another --out"
        ) from error


def writable(folder: Path) -> Path:
    """The folder, made where it is missing: asked before a command takes its time.

    Raises ``TrainingError`` where nothing can be written into it.
    """
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder


def require_empty(folder: Path, *, resumes: str = "") -> None:
    """Refuse a folder that holds a run, finished or not, or another model: it would be written over.

    ``resumes`` says what resuming would do, where a command can.
    """
    for name in (RUN_FILE, CHECKPOINT, LOG_FILE, *MODEL_FILES):
        if (folder / name).is_file():
            raise TrainingError(
                f"{folder} holds a run or a model already ({name}): {resumes}another --out leaves this one "
                "as it is, --overwrite begins anew in its place"
            )


def require_resumable(folder: Path) -> None:
    """Refuse to resume what is finished, or what no checkpoint is of: it would be written over.

    A folder passes in which nothing was begun, or a run that ended before its first checkpoint.
    """
    if (folder / CHECKPOINT).is_file() or ended_before_checkpoint(folder):
        return
    if (folder / RUN_FILE).is_file():
        raise TrainingError(f"{folder} is finished: --overwrite instead of --resume trains it anew")
    require_empty(folder, resumes=f"it has no {CHECKPOINT} to resume from, ")


def ended_before_checkpoint(folder: Path) -> bool:
    """Whether a run in ``folder`` ended after its first epoch and before its first checkpoint.

    A log of more epochs is of a run whose other files are lost.
    """
    log = folder / LOG_FILE
    if (folder / CHECKPOINT).is_file() or (folder / RUN_FILE).is_file() or not log.is_file():
        return False
    heading_and_epoch = 2
    return len(log.read_bytes().splitlines()) <= heading_and_epoch


def forget_run(folder: Path) -> None:
    """Remove an earlier run, or what would be taken for part of one begun anew: before the first file of that
    is written, and not earlier, so that what is broken off before leaves the earlier run as it was.
    """
    forget_calibration(folder)
    for left in (RUN_FILE, CHECKPOINT, LOG_FILE, PROBE_FILE, CROSSFIT_FILE, *MODEL_FILES):
        (folder / left).unlink(missing_ok=True)


@contextmanager
def made_anew(folder: Path) -> Iterator[Path]:
    """A folder to make a model in, which then takes the place of the run or model that ``folder`` holds.

    What is broken off before leaves that as it was. Raises ``TrainingError`` where nothing can be written.
    """
    with TemporaryDirectory(dir=writable(folder), prefix=".making-") as temporary:
        made = Path(temporary)
        yield made
        with written(folder):
            forget_run(folder)
            for file in made.iterdir():
                file.replace(folder / file.name)


def forget_calibration(folder: Path) -> None:
    """Remove what was said of other weights, before new ones are written."""
    for stale in (CALIBRATION_FILE, manifest.FILE_NAME):
        (folder / stale).unlink(missing_ok=True)


def resplit_of(folder: Path) -> Resplit | None:
    """The split of dair-ai/emotion that a run was trained on, where it is not the set's own."""
    facts = facts_of(folder)
    return None if facts is None else facts.resplit


def require_split(resplit: Resplit | None, runs: Iterable[Path]) -> None:
    """Refuse runs that were trained on another split of dair-ai/emotion: they know its held-out rows.

    What is no run, such as a pre-trained base, passes.
    """
    for run in runs:
        if (run / RUN_FILE).is_file() and resplit_of(run) != resplit:
            raise TrainingError(
                f"{run} was trained on another split of dair-ai/emotion, so it knows rows that are held out "
                "here: use runs of one --split and --seed"
            )


def command_line() -> str:
    """The command that is running, as a run's folder keeps it: without the path of its program."""
    return " ".join(["emotion-train", *sys.argv[1:]])
