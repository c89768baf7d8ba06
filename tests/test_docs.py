"""Commands in the documentation can be given as they stand, and its quick start does what it says.

Every command of our own programs is parsed by them; targets, modules and files that others name are there.
What quickstart.md shows is run. ``make site`` looks after the links.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pytest
import typer
from mkdocs.exceptions import PluginError

from model.loading import load
from stream.cli import COMMANDS, root
from stream.commands.tail import TOPICS
from stream.monitor.rules import AuthorRule, BaseRule, ChannelRule, DriftRule, PhraseRule, RuleSet
from stream.phrases import PhraseLists
from stream.text import TextParts, text_to_read
from tests.test_imports import ROOT
from training.cli import app

PARTS: Final[tuple[TextParts, ...]] = ("all", "new")
SPANS_S: Final = {"an hour": 3600, "a week": 7 * 86_400}
_NOT_OURS: Final = re.compile(r"\.\w|build$|runs$")
PAGES: Final = [
    page
    for page in sorted(ROOT.rglob("*.md"))
    if not any(_NOT_OURS.match(part) for part in page.relative_to(ROOT).parts)
]
PROGRAMS: Final[dict[str, Any]] = {"emotion-stream": root, "emotion-train": typer.main.get_command(app)}
# typer brings a click of its own, whose classes are others.
USAGE_ERROR: Final[tuple[Any, ...]] = (click.UsageError, typer.BadParameter.__bases__[0])
IMAGINED: Final = re.compile(r"does not exist|^'[A-Z]+' is not one of|requires an argument")
TARGETS: Final = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OURS: Final = r"(?:emotion-(?:stream|train)|make|pytest|python|kubectl|docker)"
_CALL: Final = re.compile(rf"^((?:[A-Z_]+=\S+ )*{_OURS} .*)$")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in _FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each command on a page, in fenced, indented or inline code; not what has gaps."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    inline = re.findall(r"`([^`\n]+)`(?! is gone)", text)
    for line in [*text.splitlines(), *inline]:
        found = _CALL.match(line.strip())
        if found and (line in inline or line.startswith("    ") or _in_fence(text, line)):
            call = re.split(r"\s(?:\||\|\||>|&)\s", found[1])[0]
            arguments = shlex.split(call, comments=True)
            while "=" in arguments[0]:
                del arguments[0]
            if not any(re.search(r"[…|\[{]", argument) for argument in arguments):
                yield arguments


def _in_fence(text: str, line: str) -> bool:
    return any(line in block.splitlines() for _, block in _FENCE.findall(text))


def parse(program: str, arguments: list[str]) -> None:
    """Have click read a command line as far as it goes without running anything.

    Files that a page invents need not be there, a word in capitals stands for a choice, and a sentence may
    name a command without its arguments.
    """
    command, context = PROGRAMS[program], None
    while True:
        try:
            context = command.make_context(command.name or program, list(arguments), parent=context)
        except USAGE_ERROR as error:
            named_only = type(error).__name__ == "MissingParameter"
            if not named_only and not IMAGINED.search(error.message):
                raise
            return
        if not is_group(command):
            return
        name, found, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, name
        command = found


def is_group(command: Any) -> bool:
    return hasattr(command, "list_commands")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_can_be_given_as_they_stand(page: Path) -> None:
    for program, *arguments in commands(page):
        told = shlex.join([program, *arguments])
        if program in PROGRAMS:
            if {"--help", "--version"} & {*arguments} or not arguments:
                continue
            try:
                parse(program, arguments)
            except USAGE_ERROR as error:
                pytest.fail(f"{told}: {error.message}")
        elif program == "make":
            assert {name for name in arguments if "=" not in name} <= TARGETS, told
        elif arguments[:1] == ["-m"]:
            assert importlib.util.find_spec(arguments[1]), told
        else:
            assert all((ROOT / path).exists() for path in arguments if re.match(r"(tests|deploy)\b", path)), (
                told
            )


def below(command: Any) -> Iterator[Any]:
    """A command and all that it holds."""
    yield command
    if is_group(command):
        context = command.context_class(command)
        for name in command.list_commands(context):
            yield from below(command.get_command(context, name))


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_no_markup_of_ours(program: str) -> None:
    for command in below(PROGRAMS[program]):
        helps = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
        assert not [text for text in helps if "``" in (text or "")], command.name


def test_a_list_of_commands_cuts_no_summary_off() -> None:
    for group in below(root):
        if is_group(group) and group is not root:
            for held in below(group):
                assert not held.get_short_help_str(limit=95).endswith("..."), held.name


def test_the_readme_names_every_command_and_all_that_tail_prints() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(
        r"`([^`]+)`", page.split("| command | what it does |\n|---|---|\n")[1].split("\n\n")[0]
    )
    assert {call.split()[0] for call in named} >= set(COMMANDS)
    [tail] = (call for call in named if call.startswith("tail "))
    assert set(tail.removeprefix("tail ").split("\\|")) == set(TOPICS)


def test_the_event_in_the_readme_is_what_the_shipped_model_says_of_its_message() -> None:
    message, event = map(json.loads, blocks(ROOT / "README.md", "json"))
    model = load()
    batch = model.tokenize([message["text"]])
    [said] = model.decide(batch, model.forward(batch))
    assert (event["label"], tuple(event["labels"])) == (said.label, said.labels)
    assert event["distress"]["level"] == said.distress.level
    shown = {label: score for label, score in event["scores"].items() if label in said.scores}
    numbers = [event["confidence"], event["neutral"], event["distress"]["score"], *shown.values()]
    exact = [said.confidence, said.neutral, said.distress.score, *(said.scores[label] for label in shown)]
    assert numbers == pytest.approx(exact, abs=0.01)


def test_what_a_page_shows_of_mail_is_what_the_shipped_model_says_of_it() -> None:
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    _, shown = page.split("| message | all of it | what is new |\n|---|---|---|\n")
    model = load()
    for row in shown.strip().splitlines():
        text, *cells = row.strip("| ").split(" | ")
        for parts, cell in zip(PARTS, cells, strict=True):
            batch = model.tokenize([text_to_read(text.replace(" / ", "\n"), parts)])
            [said] = model.decide(batch, model.forward(batch))
            label, *numbers = re.findall(r"^\w+|[\d.]+", cell)
            assert label == said.label, (text, parts)
            exact = [said.confidence, said.distress.score][: len(numbers)]
            assert [float(number) for number in numbers] == pytest.approx(exact, abs=0.03), (text, parts)


def test_commands_are_found_wherever_they_stand() -> None:
    assert ["emotion-stream", "annotate", "--drain"] in list(commands(ROOT / "docs" / "quickstart.md"))
    assert ["emotion-stream", "alerts", "list", "--state", "firing"] in list(
        commands(ROOT / "docs" / "alerts.md")
    )
    assert ["emotion-stream", "monitor", "--check"] in list(commands(ROOT / "deploy" / "RUNBOOK.md"))
    for program, command in (("emotion-stream", "annotate"), ("emotion-train", "fit")):
        with pytest.raises(USAGE_ERROR, match="No such option"):
            parse(program, [command, "--no-such"])


@pytest.mark.parametrize("page", ["alerts.md", "cookbook.md"])
def test_rules_and_phrases_on_a_page_are_valid(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    indented = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    tables = [table for table in [*blocks(ROOT / "docs" / page, "toml"), *indented] if "[[rule]]" in table]
    assert tables
    for table in tables:
        assert RuleSet.model_validate(tomllib.loads(table)).rules
    for lists in blocks(ROOT / "docs" / page, "toml"):
        if "[lists]" in lists:
            PhraseLists(tomllib.loads(lists)["lists"])


@pytest.mark.parametrize(
    ("heading", "kind"),
    [("Author", AuthorRule), ("Phrase", PhraseRule), ("Channel", ChannelRule), ("Drift", DriftRule)],
)
def test_defaults_of_rules_on_a_page_are_those_in_force(heading: str, kind: type[BaseRule]) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    section = page.split(f"### {heading} rules\n")[1].split("\n#")[0]
    [levels] = re.findall(
        rf"^\| `enter`, `leave` \|.*\b{heading.lower()} ([\d.]+) and ([\d.]+)", page, re.MULTILINE
    )
    told = [("enter", levels[0]), ("leave", levels[1]), *re.findall(r"`(\w+)` \(([^;)]+)", section)]
    told = [(name, value) for name, value in told if name in kind.model_fields and "at most" not in value]
    assert len(told) > 2
    for name, value in told:
        assert kind.model_fields[name].default == (SPANS_S.get(value) or float(value)), name


@pytest.mark.timeout(180)  # half a dozen programs start
def test_the_quick_start_does_what_it_says(tmp_path: Path) -> None:
    """With its broker on a free port; the programs that run until Ctrl-C have tests of their own."""
    shown = blocks(ROOT / "docs" / "quickstart.md", "sh")
    elsewhere = (
        "make demo",
        "pip install",
        "emotion-stream broker",
        "emotion-stream monitor",
        "emotion-stream dashboard",
    )
    steps = [block for block in shown if not block.startswith(elsewhere)]
    assert len(shown) - len(steps) == len(elsewhere)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        ["emotion-stream", "broker", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    ) as broker:
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        script = "set -e\n" + "\n".join(steps).replace("localhost:9092", address)
        try:
            ran = subprocess.run(
                ["bash", "-c", script],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=150,
            )
        finally:
            broker.terminate()
    assert ran.returncode == 0, ran.stderr
    assert "line 4" in ran.stderr
    labels = re.findall(r'"label":"(\w+)".*"message_id":"(m-\d)"', ran.stdout)
    assert sorted(name for _, name in labels) == ["m-1", "m-2", "m-3"]


def test_the_site_takes_no_link_to_nothing_and_nothing_from_elsewhere() -> None:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)

    class OfPage:
        def __init__(self, name: str) -> None:
            self.file = type("OfFile", (), {"src_uri": name})

    turned = hooks.on_page_markdown(
        "[a](README.md#stopping) [b](compose.yaml) [c](../docs/alerts.md)", OfPage("runbook.md")
    )
    assert turned == "[a](operations.md#stopping) b [c](alerts.md)"
    with pytest.raises(PluginError, match=r"RUNBOOK.md links to nothing.md"):
        hooks.on_page_markdown("[a](nothing.md)", OfPage("runbook.md"))
    with pytest.raises(PluginError, match="loads from elsewhere"):
        hooks.on_post_page('<script src="https://cdn.example/x.js"></script>', OfPage("faq.md"))
    assert hooks.on_post_page('<a href="https://kafka.apache.org">Kafka</a>', OfPage("faq.md"))
