"""The folder of a run: what stands in it beside the model, by name."""

from typing import Final

LOG_FILE: Final = "log.csv"
"""The learning curve, a row an epoch."""
RUN_FILE: Final = "run.json"
"""Recipe, command, rows and history of the run."""
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")
