"""What a trial run takes of the settings, and what it never does."""

from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from stream.commands import benchlatency
from stream.demo import command as demo
from stream.inputs import Inputs
from stream.mapping import MessageMapping
from stream.scratch import settings_to_try
from stream.sections import MappingSettings
from stream.settings import Settings

TAKEN: Final = {
    *("bootstrap_servers", "client_id", "security_protocol", "sasl_mechanism", "sasl_username"),
    *("sasl_password", "sasl_token_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("partitions", "replication_factor", "max_message_bytes", "session_timeout_ms"),
    *("transaction_timeout_ms", "start_timeout_s", "author_key"),
    *("model", "device", "precision", "threads", "remember_texts", "max_batch_tokens", "text_parts"),
    *("label_unmeasured_languages",),
}
TAKEN_BY_THE_DEMO: Final = {"dashboard_port", "dashboard_hosts", "dashboard_token", "dashboard_try"}
TAKEN_BY_THE_DEMO_WITH_A_FILE: Final = set(MappingSettings.model_fields)
TAKEN_BY_THE_BENCH: Final = {
    *("guarantee", "shadow", "workers", "devices", "max_wait_ms", "max_in_flight_messages"),
    *("max_in_flight_bytes", "commit_interval_ms", "max_unpacked_bytes", "max_ahead_s"),
    *("max_poll_interval_ms", "revoke_timeout_s", "stall_timeout_s", "count_window_s", "signal_min_level"),
    *("phrases_file",),
}
SECRET: Final = SecretStr("4f0d7a1c9be2635808d4c6f1a7e39b52")
LEFT: Final = {
    *("input_topic", "input_pattern", "topic_prefix", "retention_days", "group_id"),
    *("input_format", "auto_offset_reset", "drain"),
    *("registry_url", "output_schema", "registry_username", "registry_password", "registry_cafile"),
    *("monitor_group_id", "rules_file", "state_dir", "state_store", "state_days", "allowed_lateness_s"),
    *("judge_delay_s", "checkpoint_interval_ms", "webhook_url", "webhook_secret", "webhook_give_up_s"),
    *("alertmanager_url", "allow_http_receivers", "allow_private_receivers", "alertmanager_resend_s"),
    *("dashboard_host", "author_case", "include_text", "publish_keys", "optout_file", "optout_topic"),
    *("http_host", "http_hosts", "http_token", "http_port", "tracing", "log_format", "log_level"),
}
ALL: Final = set(Settings.model_fields)


class Marked:
    """Stands for a value that no setting has by default."""


def taken(keep: tuple[str, ...]) -> set[str]:
    """The settings that a trial run takes, of ones that all differ from the defaults."""
    marked = {name: Marked() for name in ALL - {"model", "shadow"}}
    theirs = Settings().model_copy(update={**marked, "model": "fake?delay_ms=1", "shadow": "null"})
    tried = settings_to_try(theirs, keep)
    return {name for name in ALL if getattr(tried, name) is getattr(theirs, name)}


def test_each_setting_was_decided_upon() -> None:
    decided = TAKEN | TAKEN_BY_THE_DEMO | TAKEN_BY_THE_DEMO_WITH_A_FILE | TAKEN_BY_THE_BENCH | LEFT
    assert decided == ALL
    assert not LEFT & (decided - LEFT)


@pytest.mark.parametrize(
    ("keep", "also"),
    [
        (demo.KEPT, TAKEN_BY_THE_DEMO),
        (demo.KEPT + demo.KEPT_WITH_A_FILE, TAKEN_BY_THE_DEMO | TAKEN_BY_THE_DEMO_WITH_A_FILE),
        (benchlatency.KEPT, TAKEN_BY_THE_BENCH),
    ],
    ids=["demo", "demo with a file", "bench"],
)
def test_only_settings_that_were_decided_upon_are_taken(keep: tuple[str, ...], also: set[str]) -> None:
    assert taken(keep) == TAKEN | also


def test_what_is_left_is_at_its_default_whatever_is_set() -> None:
    theirs = Settings(
        webhook_url="https://pager.example/alerts",
        webhook_secret=SECRET,
        alertmanager_url="http://alertmanager:9093",
        input_pattern=r"support\..*",
        text_from="body.content",
        optout_file=Path("optouts.txt"),
    )
    tried = settings_to_try(theirs, demo.KEPT)
    assert (tried.webhook_url, tried.webhook_secret, tried.alertmanager_url) == (None, None, None)
    assert tried.optout_file is None
    assert MessageMapping.of(tried) is None
    assert Inputs.of(tried).names == ("messages",)


def test_an_author_key_is_kept_and_one_is_made_where_there_is_none() -> None:
    assert settings_to_try(Settings(author_key=SECRET), ()).author_key == SECRET
    assert settings_to_try(Settings(), ()).author_key is not None


def test_a_folder_of_a_model_is_named_from_the_root() -> None:
    tried = settings_to_try(Settings(model="weights", shadow="fake"), ("shadow",))
    assert (tried.model, tried.shadow) == (str(Path("weights").absolute()), "fake")
    assert settings_to_try(Settings(), ()).model is None
