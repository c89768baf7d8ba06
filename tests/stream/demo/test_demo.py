"""``emotion-stream demo`` from start to end, as a person runs it."""

import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.admin import connected
from stream.settings import KafkaSettings
from tests.brokers import Broker

DEMO = (sys.executable, "-m", "stream.cli", "demo", "--model", "fake", "--no-monitor", "--no-dashboard")


def run_demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=50, check=False)


def line_starting(start: str, lines: Sequence[str]) -> str:
    return next(line for line in lines if line.startswith(start))


def test_it_ends_by_itself_with_a_summary() -> None:
    ended = run_demo("--messages", "80", "--rate", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert line_starting("80 messages sent", lines) == "80 messages sent: 79 labelled, 1 dead-lettered"
    assert "exactly once: every message has exactly one outcome" in lines
    assert line_starting("first label after", lines)


def test_lines_of_a_file_can_be_streamed_instead(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "joy: it works", "channel": "mine"}\nbroken\n')
    ended = run_demo("--input", str(file), "--rate", "0")
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert line_starting("joy", lines).endswith("joy: it works")
    assert "dead letters: not_json 1" in lines


def test_ctrl_c_ends_it_with_the_outcomes_of_what_was_sent() -> None:
    with subprocess.Popen([*DEMO, "--rate", "50"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert head[0].startswith("model fake")
    assert "exactly once: every message has exactly one outcome" in rest.splitlines()


def test_at_a_terminal_the_page_stays_up_until_ctrl_c() -> None:
    ours, theirs = pty.openpty()
    # The real model: it knows languages that it does not read, which the fake one does not.
    command = [*DEMO, "--model", "en", "--rate", "0", "--dashboard", "--dashboard-port", "0"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while not (found := re.search(rb"stays up until Ctrl-C: (http://127\.0\.0\.1:\d+)", shown)):
            shown += os.read(ours, 65_536)
        with urllib.request.urlopen(f"{found[1].decode()}/healthz", timeout=10) as answer:
            assert answer.status == 200
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    os.close(ours)
    assert shown.count(b"exactly once: every message has exactly one outcome") == 1


def test_elsewhere_it_prints_the_pages_address_and_ends_by_itself() -> None:
    ended = run_demo("--messages", "20", "--rate", "0", "--dashboard", "--dashboard-port", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert line_starting("page http://127.0.0.1:", ended.stdout.splitlines())


def test_settings_meant_for_real_messages_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "INPUT_PATTERN": r"support\..*",
        "INPUT_FORMAT": "text",
        "TEXT_FROM": "body.content",
        "AUTO_OFFSET_RESET": "latest",
        "DRAIN": "true",
        "OPTOUT_FILE": "/nowhere/optouts.txt",
        "PHRASES_FILE": "/nowhere/phrases.toml",
        "SHADOW": "/nowhere/weights",
        "REGISTRY_URL": "http://127.0.0.1:1",
        "OUTPUT_SCHEMA": "json",
    }
    for name, value in theirs.items():
        monkeypatch.setenv(f"EMOTION_{name}", value)
    ended = run_demo("--messages", "20", "--rate", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "exactly once: every message has exactly one outcome" in ended.stdout.splitlines()
    assert line_starting("20 messages sent", ended.stdout.splitlines()).startswith("20 messages sent: 20 lab")


async def test_on_a_cluster_it_leaves_no_topic_behind(broker: Broker) -> None:
    ended = run_demo("--messages", "20", "--rate", "0", "--bootstrap-servers", broker.bootstrap_servers)
    assert ended.returncode == 0, ended.stderr
    async with connected(KafkaSettings(bootstrap_servers=broker.bootstrap_servers)) as client:
        assert not [topic for topic in await client.list_topics() if topic.startswith("emotion-demo")]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("--bootstrap-servers", "127.0.0.1:1"), 3, "127.0.0.1:1"),
        (("--model", "./no-such-folder"), 1, "no-such-folder"),
        (("--input", "no-such-file.jsonl"), 2, "no-such-file.jsonl"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: Sequence[str], exit_code: int, says: str) -> None:
    ended = run_demo(*arguments)
    assert ended.returncode == exit_code
    assert says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_the_monitor_counts_what_was_labelled_and_raises_an_alert(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    lines = [
        f'{{"text": "{label} {number}", "author": "ann", "channel": "c"}}'
        for number, label in enumerate(["neutral"] * 4 + ["sadness"] * 12)
    ]
    file.write_text("\n".join(lines))
    ended = run_demo("--monitor", "--input", str(file), "--rate", "0")
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout.splitlines()
    assert line_starting("monitor:", printed).startswith("monitor: 16 labelled messages counted")
    assert any(line.startswith("ALERT") for line in printed)
