"""The folder of a run: what stands in it beside the model, by name, and the command that made it."""

import sys
from typing import Final

LOG_FILE: Final = "log.csv"
"""The learning curve, a row an epoch."""
RUN_FILE: Final = "run.json"
"""Recipe, command, rows and history of the run."""
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")


def command_line() -> str:
    """The command that is running, as a run's folder keeps it: without the path of its program."""
    return " ".join(["emotion-train", *sys.argv[1:]])
