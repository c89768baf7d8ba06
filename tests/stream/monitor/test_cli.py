"""The commands that people run: review alerts, try rules, forget an author."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream.cli import root
from stream.monitor.events import Review
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_all
from tests.stream.monitor.test_backtest import recorded
from tests.stream.monitor.test_delivery import RULES, alert, publish


def run(settings: Settings, *arguments: str, **options: Any) -> Result:
    flags = [f"--bootstrap-servers={settings.bootstrap_servers}", f"--topic-prefix={settings.topic_prefix}"]
    return CliRunner().invoke(root, [*arguments, *flags], **options)


async def run_in_thread(settings: Settings, *arguments: str, **options: Any) -> Result:
    return await asyncio.to_thread(run, settings, *arguments, **options)


async def test_an_alert_is_listed_shown_and_reviewed_and_every_review_is_kept(topics: Topics) -> None:
    settings = await topics()
    await publish(settings, alert(), alert("resolved", id="other:b:1"))

    listed = await run_in_thread(settings, "alerts", "list", "--state", "firing", "--json")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [alert().id]

    done = await run_in_thread(settings, "alerts", "ack", "sustained", "--reviewer", "kim")
    assert done.exit_code == 0, done.output
    await run_in_thread(
        settings, "alerts", "confirm", alert().id, "--reviewer", "kim", "--note", "called back"
    )

    shown = json.loads((await run_in_thread(settings, "alerts", "show", alert().id)).stdout)
    assert shown["state"] == "confirmed"
    assert [(one["verdict"], one["reviewer"], one["note"]) for one in shown["reviews"]] == [
        ("acknowledged", "kim", None),
        ("confirmed", "kim", "called back"),
    ]
    table = await run_in_thread(settings, "alerts", "list")
    assert "precision of sustained: 1.00 (1 of 1 confirmed; 95 % 0.21 to 1.00)" in table.stdout
    audit = await read_committed_all(settings.bootstrap_servers or "", settings.topics.reviews)
    assert [Review.model_validate_json(one.value or b"").verdict for one in audit] == [
        "acknowledged",
        "confirmed",
    ]


async def test_what_a_channel_is_called_neither_ends_a_list_nor_reaches_the_terminal(topics: Topics) -> None:
    settings = await topics()
    odd = alert(id="surge:[/x]:1\x1b]0;title\x07", author=None, channel="[/]\x1b[31m")
    await publish(settings, odd, odd.model_copy(update={"id": odd.id + "2"}))
    listed = await run_in_thread(settings, "alerts", "list")
    assert listed.exit_code == 0, listed.output
    assert "[/]·[31m" in listed.stdout
    assert "surge:[/x]:1·]0;title·" in listed.stdout
    unclear = await run_in_thread(settings, "alerts", "ack", "surge")
    done = await run_in_thread(settings, "alerts", "ack", odd.id + "2", "--reviewer", "kim")
    assert "\x1b" not in unclear.stderr + done.stdout


@pytest.mark.parametrize(
    ("alert_id", "complaint"), [("none", "no alert's id begins"), ("", "several alerts' ids")]
)
async def test_an_alert_that_is_not_there_gets_one_line(
    topics: Topics, alert_id: str, complaint: str
) -> None:
    settings = await topics()
    await publish(settings, alert(), alert(id="other:b:1"))
    done = await run_in_thread(settings, "alerts", "dismiss", alert_id)
    assert done.exit_code == 1
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_whom_to_forget_must_be_said() -> None:
    done = CliRunner().invoke(root, ["forget", "--yes"])
    assert done.exit_code == 2
    assert "give either AUTHOR or --pseudonym" in done.stderr


@pytest.mark.parametrize(
    "given",
    ["kim@example.org", "", "kim\udcff", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", "\u0661" * 32],
)
def test_what_no_pseudonym_can_be_is_refused_and_not_repeated(given: str) -> None:
    done = CliRunner().invoke(
        root, ["forget", "--pseudonym", given, "--yes", "--bootstrap-servers=127.0.0.1:1"]
    )
    assert done.exit_code == 2
    assert "--pseudonym is no pseudonym" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not given.strip() or given not in done.output


@pytest.mark.parametrize("given", ["", " ", "\u200b"])
def test_an_author_of_whom_nothing_is_left_to_hash_is_refused(given: str) -> None:
    done = CliRunner().invoke(
        root,
        ["forget", given, "--yes", "--bootstrap-servers=127.0.0.1:1"],
        env={"EMOTION_AUTHOR_KEY": "a key for the tests"},
    )
    assert done.exit_code == 2
    assert "AUTHOR is empty" in done.stderr


@pytest.mark.parametrize("given", [["--from=lost"], ["--from=/lost", "--bootstrap-servers=127.0.0.1:1"]])
def test_recorded_events_that_are_no_file_are_named(given: list[str], tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    done = CliRunner().invoke(root, ["backtest", f"--rules={rules}", *given])
    assert done.exit_code == 2
    assert "lost: no such file" in done.stderr


def test_recorded_events_in_a_file_that_cannot_be_reached_are_no_topic(tmp_path: Path) -> None:
    rules, loop = tmp_path / "rules.toml", tmp_path / "loop.jsonl"
    rules.write_text(RULES)
    loop.symlink_to(loop)
    done = CliRunner().invoke(root, ["backtest", f"--rules={rules}", f"--from={loop}"])
    assert done.exit_code == 2
    assert "loop.jsonl: Too many levels of symbolic links" in done.stderr


def test_two_rule_files_are_tried_side_by_side(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("".join(one.model_dump_json() + "\n" for one in recorded()))
    mild, strict = tmp_path / "mild.toml", tmp_path / "strict.toml"
    mild.write_text(RULES)
    strict.write_text(RULES + "enter = 0.99\n")
    arguments = ["backtest", f"--rules={mild}", f"--rules={strict}", f"--from={events}"]
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == 0, done.output
    counts = next(line for line in done.stdout.splitlines() if line.startswith("alerts "))
    assert counts.split()[1:] == ["3", "0"]
    lines = CliRunner().invoke(root, [*arguments, "--json"]).stdout.splitlines()
    assert {json.loads(line)["rules"] for line in lines} == {str(mild)}


def test_a_backtest_shows_names_as_they_are(tmp_path: Path) -> None:
    events, rules = tmp_path / "events.jsonl", tmp_path / "[a].toml"
    odd = [one.model_copy(update={"author": "[/x]"}) for one in recorded()]
    events.write_text("".join(one.model_dump_json() + "\n" for one in odd))
    rules.write_text(RULES)
    done = CliRunner().invoke(root, ["backtest", f"--rules={rules}", "--from", str(events)])
    assert done.exit_code == 0, done.output
    assert done.stdout.count(str(rules)) == 2
    assert "[/x]" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.jsonl", "nowhere.jsonl: No such file or directory: name a readable file"),
        (".", ".: Is a directory: name a readable file"),
        ("odd.jsonl", "odd.jsonl, line 2 is no review (verdict is missing or wrong): record them with"),
    ],
)
def test_reviews_that_cannot_be_read_are_said_in_one_line(given: str, said: str) -> None:
    Path("events.jsonl").write_text("")
    Path("rules.toml").write_text(RULES)
    Path("odd.jsonl").write_text('\n{"id": "1", "alert_id": "a", "rule": "r"}\n')
    arguments = ["backtest", "--rules=rules.toml", "--from=events.jsonl", f"--reviews={given}"]
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("given", ["x" * 1025, "a\udcff"])
@pytest.mark.parametrize("option", ["--note", "--reviewer"])
def test_what_a_review_has_no_room_for_is_a_wrong_use(option: str, given: str) -> None:
    done = CliRunner().invoke(root, ["alerts", "ack", "a", option, given])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.stderr


async def test_a_topic_of_events_is_a_source_of_a_backtest(topics: Topics, tmp_path: Path) -> None:
    settings = await topics()
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    records = [Record(one.model_dump_json().encode(), key=(one.author or "").encode()) for one in recorded()]
    await produce(settings.bootstrap_servers or "", settings.topics.signals, records)
    done = await run_in_thread(
        settings, "backtest", f"--rules={rules}", f"--from={settings.topics.signals}", "--json"
    )
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("source", ["a" * 300, f"events/{'a' * 300}"])
def test_a_source_that_cannot_be_looked_at_is_one_line(source: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    done = CliRunner().invoke(root, ["backtest", f"--rules={rules}", f"--from={source}"])
    assert done.exit_code == 2
    assert source in done.stderr
    assert "unexpected" not in done.stderr


async def test_check_says_what_is_there(topics: Topics) -> None:
    settings = await topics()
    done = await run_in_thread(settings, "monitor", "--check")
    assert done.exit_code == 0, done.output
    assert "sustained-distress" in done.stdout
    assert settings.topics.alerts in done.stdout


def test_missing_topics_and_wrong_rules_end_a_monitor_with_one_line(topics: Topics, tmp_path: Path) -> None:
    settings = asyncio.run(topics())
    elsewhere = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}.none"})
    assert run(elsewhere, "monitor").exit_code == 4
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nname = 'a'\nkind = 'mood'\n")
    done = run(settings, "monitor", f"--rules-file={rules}")
    assert done.exit_code == 2
    assert "rule a: kind must be one of" in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WEBHOOK_URL": "https://hooks.example/x"}, "set EMOTION_WEBHOOK_SECRET"),
        ({"WEBHOOK_URL": "http://hooks.example/x"}, "set allow_http_receivers"),
        ({"WEBHOOK_URL": "hooks.example/x"}, "is no URL: write https://HOST/PATH"),
        ({"WEBHOOK_URL": "ftp://hooks.example/x"}, "is no address to send alerts to"),
        ({"ALERTMANAGER_URL": "https://a.example,https://10.0.0.7"}, "set allow_private_receivers"),
    ],
)
def test_receivers_that_a_monitor_would_not_start_with_fail_its_check(
    variables: dict[str, str], said: str
) -> None:
    given = {f"EMOTION_{name}": value for name, value in variables.items()}
    done = CliRunner().invoke(root, ["monitor", "--check", "--bootstrap-servers=127.0.0.1:1"], env=given)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--state-dir=/proc", "/proc cannot hold the state (No such file or directory): set state_dir"),
        ("--rules-file=/nowhere", "/nowhere"),
        ("--webhook-url=ftp://a.example", "ftp"),
        ("--http-host=0.0.0.0", "EMOTION_HTTP_TOKEN"),
    ],
)
def test_what_a_monitor_cannot_start_with_is_said_before_it_waits_for_brokers(option: str, said: str) -> None:
    waits = ["--bootstrap-servers=127.0.0.1:1", "--start-timeout-s=170", "--http-port=0"]
    done = CliRunner().invoke(root, ["monitor", *waits, option])
    assert done.exit_code == 2
    assert said in done.stderr
    checked = CliRunner().invoke(root, ["monitor", *waits, option, "--check"])
    assert (checked.exit_code, checked.stdout) == (2, "")
    assert said in checked.stderr


def test_a_check_makes_no_folder_and_finds_one_that_could_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, exit_code in ((tmp_path / "new" / "state", 3), (tmp_path / "file" / "state", 2)):
        arguments = ["--check", "--bootstrap-servers=127.0.0.1:1", f"--state-dir={folder}"]
        assert CliRunner().invoke(root, ["monitor", *arguments]).exit_code == exit_code
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
