"""What the commands have in common: where they print, options, and how these are read."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from training.errors import TrainingError

if TYPE_CHECKING:
    from training.fit.loop import Progress

out = Console()
err = Console(stderr=True)
LINE: Final[dict[str, Any]] = {"highlight": False, "markup": False, "soft_wrap": True}
"""How a line is printed that holds names and numbers: as it is, and not broken."""
MOST_SEED: Final = 2**63 - 1
"""What torch takes."""

Data = Annotated[
    Path | None,
    typer.Option(envvar="EMOTION_DATA", help="Folder with the data sets; without it they come from the hub."),
]
DeviceName = Annotated[str, typer.Option(envvar="EMOTION_DEVICE", help="auto, cpu, cuda or cuda:N.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Begin anew in an --out that holds a run or a model already.")
]


def whole_numbers(option: str, value: str) -> tuple[int, ...]:
    """Whole numbers by commas. Raises ``TrainingError``, which names ``option``."""
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError:
        raise TrainingError(f"{option} {value}: whole numbers by commas, such as 0,1,2") from None


def shown_progress(title: str) -> AbstractContextManager["Progress"]:
    """A bar at a terminal, lines elsewhere, on standard error."""
    from training.fit.progress import step_progress

    return step_progress(title, err)
