"""A progress bar for a terminal, and a line now and then for a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S: Final = 15.0


@contextmanager
def step_progress(title: str, console: Console) -> Iterator[Callable[[int, int, float], None]]:
    """A function to call after each step with steps done, steps in all, and the loss."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title)

            def show(done: int, steps: int, loss: float) -> None:
                bar.update(task, completed=done, total=steps, description=f"{title}, loss {loss:.3f}")

            yield show
        return
    last_line_at = time.monotonic()

    def write(done: int, steps: int, loss: float) -> None:
        nonlocal last_line_at
        if time.monotonic() - last_line_at >= LINE_EVERY_S or done == steps:
            last_line_at = time.monotonic()
            console.print(f"{title}: step {done} of {steps}, loss {loss:.3f}", highlight=False)

    yield write
