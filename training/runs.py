"""The folder of a run: what stands in it beside the model, by name, and the command that made it."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from training.data.rows import Resplit
from training.errors import TrainingError

LOG_FILE: Final = "log.csv"
"""The learning curve, a row an epoch."""
RUN_FILE: Final = "run.json"
"""Recipe, command, rows and history of the run."""
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")


def facts_of(folder: Path) -> dict[str, Any]:
    """What the run in ``folder`` wrote about itself; nothing where it is no run of this package."""
    file = folder / RUN_FILE
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return facts


def resplit_of(folder: Path) -> Resplit | None:
    """The split of dair-ai/emotion that a run was trained on, where it is not the set's own."""
    resplit = facts_of(folder).get("resplit")
    return None if resplit is None else Resplit(tuple(resplit["percent"]), resplit["seed"])


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
