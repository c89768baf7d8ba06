"""``emotion-train``: fit, calibrate, evaluate, compare, audit and export.

    emotion-train fit --recipe best --out runs/best-0
    emotion-train calibrate runs/best-0
    emotion-train evaluate runs/best-0
    emotion-train export runs/best-0 --out model/weights

torch and transformers are imported by the commands that need them, so ``--help`` answers at once.
"""

import os
import signal
import sys

import typer

from model.errors import ModelError
from training.commands.fit import fit
from training.commands.measuring import agree, airline, audit, calibrate, compare, evaluate
from training.commands.options import LINE, err
from training.commands.teachers import base, causal, crossfit, probe
from training.commands.weights import average, export, refit, reopen
from training.errors import TrainingError

app = typer.Typer(
    help=__doc__.split("\n\n")[0].replace("``", ""), no_args_is_help=True, pretty_exceptions_enable=False
)
_COMMANDS = (
    *(fit, base, probe, crossfit, average, refit, reopen, audit),
    *(calibrate, evaluate, compare, airline, agree, causal, export),
)
for command in _COMMANDS:
    app.command()(command)


def main() -> None:
    """The entry point: a wrong request is one line and exit status 2, never a stack trace."""
    # transformers shows a table of weights that it does not know, which are ours beside the labels.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup one is ignored
            signal.signal(number, signal.default_int_handler)
    try:
        app()
    except (TrainingError, ModelError) as error:
        err.print(f"emotion-train: {error}", style="red", **LINE)
        sys.exit(2)
    except OSError as error:  # a file that cannot be read or written: what else there is has its own error
        reason = error.strerror or str(error).partition("\n")[0]
        told = f"{error.filename}: {reason}" if error.filename else reason
        err.print(f"emotion-train: {told}", style="red", **LINE)
        sys.exit(2)


if __name__ == "__main__":
    main()
