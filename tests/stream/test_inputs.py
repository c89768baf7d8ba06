"""Which topics are read: those named, or those that match and that we do not write ourselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from stream.errors import SettingsError
from stream.inputs import Inputs
from stream.settings import Settings


def inputs(**given: Any) -> Inputs:
    return Inputs.of(Settings(**given))


def test_topics_are_named_by_commas() -> None:
    named = inputs(input_topic="chat, mail,chat")
    assert named.names == ("chat", "mail")
    assert "mail" in named
    assert "chat,mail" not in named
    assert inputs().names == ("messages",)


def test_a_pattern_matches_whole_names() -> None:
    matching = inputs(input_pattern=r"support\..*|chat")
    assert matching.names == ()
    assert [name for name in ("support.mail", "chat", "chats", "my.support.mail") if name in matching] == [
        "support.mail",
        "chat",
    ]


def test_nothing_that_we_or_kafka_write_matches_a_pattern() -> None:
    everything = inputs(input_pattern=".*", topic_prefix="feelings", monitor_group_id="watch")
    written = [spec.name for spec in Settings(topic_prefix="feelings", input_pattern=".*").topic_specs()]
    assert len(written) == 9
    for name in (*written, "watch-feelings.counts-changelog", "__consumer_offsets", "__transaction_state"):
        assert name not in everything
    assert "feelings-of-people" in everything


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"input_topic": "chat", "input_pattern": "mail"}, "both set"),
        ({"input_topic": "chat,"}, "empty name"),
        ({"input_topic": ""}, "empty name"),
        ({"input_topic": "chat,emotions.dlq"}, r"names emotions\.dlq, which we write"),
    ],
)
def test_what_cannot_be_meant_ends_the_start(given: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        inputs(**given)


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="no regular expression"):
        Settings(input_pattern="support.(")
