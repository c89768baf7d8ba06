"""``emotion-stream topics`` and ``annotate --check``, against a broker."""

import json

import pytest

from tests.conftest import MakeSettings, Topics
from tests.stream.commands import run, run_beside

pytestmark = pytest.mark.every_broker


def test_create_makes_all_topics_and_then_changes_nothing(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first = run("topics", "create", settings=settings)
    second = run("topics", "create", settings=settings)
    names = [spec.name for spec in settings.topic_specs()]
    assert first.stdout.split() == [word for name in names for word in ("created", name)]
    assert second.stdout.split() == [word for name in names for word in ("exists", name)]


async def test_create_refuses_a_topic_that_differs(topics: Topics) -> None:
    settings = await topics(partitions=2)
    result = await run_beside("topics", "create", "--partitions", "3", settings=settings)
    assert result.exit_code == 4
    assert f"{settings.input_topic}: partitions is 2, should be 3" in result.stderr


async def test_check_says_what_is_missing_or_different(topics: Topics, make_settings: MakeSettings) -> None:
    settings = await topics(partitions=2)
    assert (await run_beside("topics", "check", settings=settings)).exit_code == 0
    result = await run_beside("topics", "check", "--topic-prefix", "elsewhere", settings=settings)
    assert result.exit_code == 4
    assert "elsewhere.dlq: does not exist" in result.stderr
    assert settings.input_topic not in result.stderr


async def test_list_shows_topics_as_they_are(topics: Topics) -> None:
    settings = await topics(partitions=2, retention_days=2)
    result = await run_beside("topics", "list", "--json", settings=settings)
    listed = {entry["topic"]: entry for entry in map(json.loads, result.stdout.splitlines())}
    assert list(listed) == [spec.name for spec in settings.topic_specs()]
    messages = listed[settings.input_topic]
    assert (messages["exists"], messages["partitions"]) == (True, 2)
    assert messages["config"]["retention.ms"] == str(2 * 24 * 60 * 60 * 1000)
    table = (await run_beside("topics", "list", settings=settings)).stdout
    assert all(name in table for name in listed)


def test_list_shows_topics_that_do_not_exist(make_settings: MakeSettings) -> None:
    result = run("topics", "list", settings=make_settings())
    assert result.exit_code == 0
    assert result.stdout.count("missing") == len(make_settings().topic_specs())


async def test_annotate_check_tries_broker_topics_and_model(topics: Topics) -> None:
    settings = await topics()
    fine = await run_beside("annotate", "--check", "--model", "fake", settings=settings)
    assert fine.exit_code == 0, fine.stderr
    assert "fake" in fine.stdout
    no_topic = await run_beside(
        "annotate", "--check", "--model", "fake", "--input-topic", "elsewhere", settings=settings
    )
    assert no_topic.exit_code == 4
    no_model = await run_beside("annotate", "--check", "--model", "nowhere", settings=settings)
    assert no_model.exit_code == 1
    assert len(no_model.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--optout-file", "--phrases-file"])
def test_annotate_check_refuses_a_list_that_a_start_would_refuse(option: str) -> None:
    arguments = ("--model", "fake", option, "/nowhere/list", "--bootstrap-servers", "127.0.0.1:1")
    result = run("annotate", "--check", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "/nowhere/list" in result.stderr
