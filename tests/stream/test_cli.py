"""The command line as a whole: help, exit codes, one line for what goes wrong, options made from settings."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from stream import cli
from stream.commands.options import SettingOption, SettingsCommand, settings_options
from stream.errors import BrokerError, SettingsError, StalledError, StreamError, TopicError
from stream.settings import SECTIONS, Settings
from tests.stream.commands import ROOT, finished, run, start


@pytest.fixture
def failing_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``emotion-stream fail NAME`` a command that raises the error of this name."""
    kinds: tuple[type[BaseException], ...] = (KeyError, KeyboardInterrupt, StreamError, SettingsError)
    errors = {kind.__name__: kind for kind in (*kinds, BrokerError, TopicError, StalledError)}

    @click.command()
    @click.argument("name")
    @click.option("--in-tasks", is_flag=True)
    def fail(name: str, in_tasks: bool) -> None:
        error = errors[name]("it went wrong: do this")
        raise ExceptionGroup("tasks", [KeyError(), ExceptionGroup("more", [error])]) if in_tasks else error

    module = ModuleType("failing_command")
    module.fail = fail  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setitem(cli.COMMANDS, "fail", cli.Entry("failing_command", "fail", "Fails."))


def test_help_lists_every_command_without_loading_any() -> None:
    script = "import sys; sys.argv[1:] = ['--help']; from stream.cli import main\n"
    script += "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    help_of = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name, entry in cli.COMMANDS.items():
        assert f"  {name} " in help_of.stdout
        assert entry.summary in help_of.stdout
    loaded = set(help_of.stderr.split())
    assert "click" in loaded
    assert not loaded & {"aiokafka", "asyncio", "numpy", "pydantic", "rich", "stream.settings"}


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>&- <&-"])
def test_what_is_started_with_a_stream_closed_does_its_work(closed: str) -> None:
    program = [sys.executable, "-m", "stream.cli", "classify", "--model", "fake", "so much joy"]
    shell = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *program]
    ended = subprocess.run(shell, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(ended.stdout)["label"] == "joy"


def test_no_connection_gets_the_number_of_a_stream_that_was_closed() -> None:
    script = "from stream.standardstreams import open_streams\nopen_streams()\n"
    script += "import os, socket, sys\nprint('lost', file=sys.stderr)\nos.write(2, b'lost')\n"
    script += "print(socket.socket().fileno())"
    shell = ["/bin/sh", "-c", 'exec "$@" 2>&- <&-', "sh", sys.executable, "-c", script]
    ended = subprocess.run(shell, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert int(ended.stdout) > 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "settings", "settings --json", "classify --model fake joy"])
def test_output_that_cannot_be_written_is_one_line(arguments: str, unbuffered: str, full_disk: int) -> None:
    program = [sys.executable, "-m", "stream.cli", *arguments.split()]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(
        program, cwd=ROOT, env=environment, stdout=full_disk, stderr=subprocess.PIPE, text=True, check=False
    )
    assert ended.stderr == "error: the output cannot be written (No space left on device)\n"
    assert ended.returncode == 1


def test_a_character_that_a_terminal_has_not_is_written_as_an_escape() -> None:
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "stream.cli", "classify", "--model", "fake", "so much joy 😀"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "TERM": "dumb", "COLUMNS": "100"}
    ended = subprocess.run(
        program, cwd=ROOT, env=environment, stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 65_536)
    os.close(ours)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"so much joy \\U0001f600" in shown


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_loads_under_its_name_and_helps(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: emotion-stream {name} ")


def test_a_mistyped_command_names_the_closest_one() -> None:
    result = run("tial", "emotions")
    assert result.exit_code == 2
    assert "No such command 'tial'. Did you mean 'tail'?" in result.stderr


@pytest.mark.usefixtures("failing_command")
@pytest.mark.parametrize(
    ("error", "exit_code"),
    [("StreamError", 1), ("SettingsError", 2), ("BrokerError", 3), ("TopicError", 4), ("StalledError", 5)],
)
def test_an_error_is_one_line_on_stderr_with_the_exit_code_of_its_class(error: str, exit_code: int) -> None:
    result = run("fail", error)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr == "error: it went wrong: do this\n"


@pytest.mark.usefixtures("failing_command")
def test_an_error_of_one_of_several_tasks_is_found() -> None:
    result = run("fail", "--in-tasks", "TopicError")
    assert (result.exit_code, result.stderr) == (4, "error: it went wrong: do this\n")


@pytest.mark.usefixtures("failing_command")
def test_an_unforeseen_error_says_where_but_not_what_it_holds() -> None:
    result = run("fail", "KeyError")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unexpected KeyError in test_cli.py, line ")
    assert "went wrong" not in result.stderr


@pytest.mark.usefixtures("failing_command")
def test_traceback_shows_where_an_error_arose() -> None:
    result = run("--traceback", "fail", "BrokerError")
    assert isinstance(result.exception, BrokerError)


@pytest.mark.usefixtures("failing_command")
def test_an_interrupt_is_quiet() -> None:
    result = run("fail", "KeyboardInterrupt")
    assert (result.exit_code, result.output) == (130, "")


def test_a_command_whose_library_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "absent", cli.Entry("no_such_module", "absent", "Absent."))
    result = run("absent")
    assert result.exit_code == 1
    assert result.stderr == "error: the command absent cannot be loaded: No module named 'no_such_module'\n"


def test_the_program_ends_with_one_line_and_the_exit_code() -> None:
    unset = finished("topics", "list")
    assert unset.returncode == 2
    assert unset.stderr.startswith("error: no Kafka cluster is named: set --bootstrap-servers")
    unreachable = finished("topics", "list", "--bootstrap-servers", "127.0.0.1:1")
    assert unreachable.returncode == 3
    assert unreachable.stderr.startswith("error: no Kafka broker answers at 127.0.0.1:1")
    assert len(unreachable.stderr.splitlines()) == 1


def test_a_wrong_model_path_ends_with_one_line(tmp_path: Path) -> None:
    result = run("classify", "hello", "--model", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "nowhere" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_broker_runs_until_it_is_interrupted_and_prints_its_address() -> None:
    with start("broker", "--port", "0") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert finished("topics", "create", "--bootstrap-servers", address).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert finished("topics", "list", "--bootstrap-servers", address).returncode == 3


def test_the_broker_ends_in_order_on_sigterm() -> None:
    with start("broker", "--port", "0") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 0


# Options made from settings


@click.command(cls=SettingsCommand)
@click.option("--own", default="mine")
@settings_options(*SECTIONS)
def show(settings: Settings, own: str) -> None:
    """Show all."""
    click.echo(settings.model_dump_json())


def shown(*arguments: str) -> Settings:
    result = CliRunner().invoke(show, arguments)
    assert result.exit_code == 0, result.output
    return Settings.model_validate_json(result.stdout)


def test_every_setting_but_secrets_has_an_option_with_its_description_default_and_variable() -> None:
    options = {option.name: option for option in show.params if isinstance(option, SettingOption)}
    assert set(options) == set(Settings.model_fields)
    text = " ".join(CliRunner().invoke(show, ["--help"], terminal_width=200).stdout.split())
    for name, field in Settings.model_fields.items():
        assert field.description is not None
        assert " ".join(field.description.split()) in text
        assert f"EMOTION_{name.upper()}" in text
    assert "--max-wait-ms NUMBER" in text
    assert "[default: 20; env: EMOTION_MAX_WAIT_MS]" in text
    assert "--guarantee [exactly_once|at_least_once]" in text
    assert "--include-text / --no-include-text" in text


def test_options_of_every_kind_reach_the_settings() -> None:
    settings = shown(
        *("--max-wait-ms", "2.5", "--partitions", "3", "--guarantee", "at_least_once"),
        *("--include-text", "--no-drain", "--optout-file", "people.txt", "--http-port", "0"),
    )
    assert (settings.max_wait_ms, settings.partitions, settings.guarantee) == (2.5, 3, "at_least_once")
    assert (settings.include_text, settings.drain, settings.http_port) == (True, False, 0)
    assert settings.optout_file == Path("people.txt")


def test_no_option_means_the_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_INCLUDE_TEXT", "true")
    Path("other.toml").write_text("partitions = 3")
    assert shown("--config", "other.toml").include_text
    assert shown("--config", "other.toml").partitions == 3
    assert not shown("--no-include-text").include_text


def test_a_password_as_a_flag_is_refused_with_the_way_to_give_it() -> None:
    result = run("topics", "list", "--sasl-password", "open sesame, and shut again")
    assert result.exit_code == 2
    assert "set EMOTION_SASL_PASSWORD, or sasl_password in emotion-stream.toml" in result.stderr
    assert "sesame" not in result.stderr


def test_a_mistyped_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_MODLE", "fake")
    result = run("classify", "--model", "fake", "joy")
    assert result.exit_code == 0
    assert (
        "warning: EMOTION_MODLE is set, but no setting reads it; did you mean EMOTION_MODEL?" in result.stderr
    )


def test_a_service_logs_what_differs_from_the_defaults_and_hides_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMOTION_AUTHOR_KEY", "open sesame, and shut again")
    monkeypatch.setenv("EMOTION_MODLE", "fake")
    monkeypatch.setenv("EMOTION_WEBHOOK_URL", "https://user:pass@chat.example:8443/hooks/token")
    result = run("annotate", "--log-format", "json", "--max-wait-ms", "5")
    *logged, error = result.stderr.splitlines()
    assert error.startswith("error: no Kafka cluster is named")
    start, warning = map(json.loads, logged)
    assert start["event"] == "settings in force"
    assert start["max_wait_ms"] == 5
    assert start["author_key"] == "**********"
    assert start["webhook_url"] == "https://chat.example/…"
    assert "partitions" not in start
    assert "EMOTION_MODLE" in warning["event"]


@pytest.mark.parametrize("given", ["inf", "nan", "1e400"])
@pytest.mark.parametrize(
    "command",
    [
        ("produce", "-", "--rate"),
        ("demo", "--rate"),
        ("bench", "latency", "--seconds"),
        ("bench", "latency", "--warm-up"),
        ("bench", "latency", "--loads"),
    ],
)
def test_an_option_takes_finite_numbers_alone(command: tuple[str, ...], given: str) -> None:
    done = run(*command, given)
    assert done.exit_code == 2
    assert f"Invalid value for '{command[-1]}'" in done.stderr


# The settings in force


def test_settings_prints_each_value_with_its_source_and_hides_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMOTION_MAX_WAIT_MS", "5")
    monkeypatch.setenv("EMOTION_AUTHOR_KEY", "open sesame, and shut again")
    monkeypatch.setenv("EMOTION_WEBHOOK_URL", "https://hooks.example.org/sesame/token")
    Path("emotion-stream.toml").write_text("partitions = 3")
    values = json.loads(run("settings", "--json").stdout)
    assert set(values) == set(Settings.model_fields)
    assert values["max_wait_ms"] == {"value": 5.0, "source": "environment", "from": "EMOTION_MAX_WAIT_MS"}
    assert values["partitions"] == {"value": 3, "source": "file", "from": "emotion-stream.toml"}
    assert values["group_id"] == {"value": "emotion-stream", "source": "default", "from": None}
    assert values["author_key"]["value"] == "**********"
    assert values["sasl_password"]["value"] is None
    assert values["webhook_url"]["value"] == "https://hooks.example.org/…"
    table = run("settings").stdout
    assert "sesame" not in table
    assert ["max_wait_ms", "5", "EMOTION_MAX_WAIT_MS"] in [line.split() for line in table.splitlines()]


def test_settings_prints_a_value_as_it_was_written() -> None:
    Path("emotion-stream.toml").write_text("input_pattern = 'team-[a-z]+[/x]'\nclient_id = \"a\\u001b[31mb\"")
    table = run("settings").stdout
    assert ["input_pattern", "team-[a-z]+[/x]", "emotion-stream.toml"] in [
        line.split() for line in table.splitlines()
    ]
    assert "a·[31mb" in table


@pytest.mark.parametrize("command", [("show",), ("use", "loop")])
def test_links_that_name_each_other_are_no_model(command: tuple[str, ...]) -> None:
    Path("loop").symlink_to("loop")
    result = run("model", *command, "--model", "loop")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "loop is no folder" in result.stderr


def test_a_link_of_the_model_that_cannot_be_looked_at_is_one_line() -> None:
    result = run("model", "use", "weights", "--model", "a" * 300)
    assert result.exit_code == 2
    assert "cannot be read (File name too long): name another" in result.stderr


def test_a_settings_file_of_which_nobody_knows_whether_it_is_there_is_refused() -> None:
    Path("emotion-stream.toml").symlink_to("emotion-stream.toml")
    result = run("settings")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: settings file emotion-stream.toml: Too many levels")
