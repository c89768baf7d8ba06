"""The command line ``emotion-stream``: finds the command, and turns what goes wrong into one line.

A command's module is imported when the command is called, so that help answers at once and no command
pays for another's libraries. Exit codes: 0 done, 1 refused or failed, 2 wrong usage or setting, 3 broker,
4 topics, 5 stalled, 6 a model that fails on every text, 7 a record that stands in the way,
130 interrupted; the error classes carry them. What SIGTERM or SIGHUP has ended is ended by that signal.
"""

import importlib
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, NoReturn

import click

from stream.errors import OutputError, StreamError
from stream.standardstreams import flushed_output, open_streams
from stream.unwinding import end_as_told

PROGRAM: Final = "emotion-stream"
INTERRUPTED: Final = 130


class Entry(NamedTuple):
    """A command: the module and attribute that hold it, and what it does, for the root's help."""

    module: str
    attribute: str
    summary: str


COMMANDS: Final = {
    "demo": Entry("stream.demo.command", "demo", "Label sample messages, live, with a broker of its own."),
    "annotate": Entry("stream.commands.annotate", "annotate", "Label the messages of a topic."),
    "monitor": Entry("stream.monitor.cli", "monitor", "Count labels in windows and raise alerts."),
    "dashboard": Entry("stream.dashboard.command", "dashboard", "Serve the page to watch, review and try."),
    "alerts": Entry("stream.monitor.cli", "alerts", "List and review alerts."),
    "backtest": Entry("stream.monitor.cli", "backtest", "Try alert rules on recorded events."),
    "forget": Entry("stream.monitor.cli", "forget", "Forget an author, and label them no more."),
    "model": Entry("stream.commands.model", "model", "Show the model, or exchange it while annotators run."),
    "classify": Entry("stream.commands.classify", "classify", "Label texts or a file, without a broker."),
    "produce": Entry("stream.commands.produce", "produce", "Send a file of messages to the input topic."),
    "tail": Entry("stream.commands.tail", "tail", "Print what is written to an output topic."),
    "replay": Entry("stream.commands.replay", "replay", "Send dead letters back to the input topic."),
    "topics": Entry("stream.commands.topics", "topics", "Create, list and check the topics."),
    "broker": Entry("stream.commands.broker", "broker", "Run the embedded broker."),
    "bench": Entry("stream.commands.bench", "bench", "Measure model and latency here, with your messages."),
    "settings": Entry("stream.commands.settings", "settings", "Print the settings in force."),
}


class Failure(click.ClickException):
    """What went wrong, as one line on stderr, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", file=file, err=file is None)


class LazyGroup(click.Group):
    """A group whose commands are imported on use, and whose errors end as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            command = getattr(importlib.import_module(entry.module), entry.attribute)
        except ImportError as error:
            if ctx.params.get("traceback"):
                raise
            raise Failure(f"the command {cmd_name} cannot be loaded: {error}", 1) from error
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        close = get_close_matches(args[0], COMMANDS, n=1)
        if close and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx  # the summaries are known without importing the commands
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if ctx.params["traceback"]:
                raise
            _fail(error)


def _fail(error: Exception) -> NoReturn:
    from model.errors import ModelError

    if isinstance(error, ExceptionGroup) and (foreseen := error.subgroup((StreamError, ModelError))):
        error = _first_of(foreseen)
    if isinstance(error, StreamError | ModelError):
        raise Failure(str(error), getattr(error, "exit_code", 1)) from error
    # The text of an unforeseen error could hold message text; its place tells enough to ask for more.
    place = traceback.extract_tb(error.__traceback__)[-1]
    raise Failure(
        f"unexpected {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: "
        f"run again as {PROGRAM} --traceback … to see where it comes from",
        1,
    ) from error


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """What tasks that ran side by side failed with: the first of them is what the line is about."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--traceback", is_flag=True, help="Show where an error arose, not only what it is.")
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM, message="%(prog)s %(version)s")
def root(traceback: bool) -> None:
    """Labels a Kafka stream of messages with emotions, exactly once.

    Each setting is a flag (--max-wait-ms 20), an environment variable (EMOTION_MAX_WAIT_MS=20) or a line
    in emotion-stream.toml (max_wait_ms = 20), in this order.
    """
    del traceback  # read from the context where an error ends


def main() -> None:
    """Run the command line; ends the process with the command's exit code."""
    open_streams()
    try:
        sys.exit(_exit_code())
    except KeyboardInterrupt:  # between start and the first command
        end_as_told()
        sys.exit(INTERRUPTED)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            end_as_told()
        if (worker := sys.modules.get("stream.annotate.worker")) and isinstance(ending.code, int):
            worker.leave(ending.code)
        raise


def _exit_code() -> Any:
    """What the command ends with, once its output is written or it is said that it cannot be."""
    code: Any = 0
    unwritten: OutputError | None = None
    try:
        root(prog_name=PROGRAM)
    except SystemExit as ending:
        code = ending.code
    except OutputError as error:  # of a help that is printed before there is a command
        unwritten = error
    unwritten = flushed_output() or unwritten
    if unwritten is None or code:
        return code
    Failure(str(unwritten), unwritten.exit_code).show()
    return unwritten.exit_code


if __name__ == "__main__":
    main()
