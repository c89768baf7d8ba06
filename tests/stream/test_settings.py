"""Settings: which source wins, what each says of a wrong value, and that nothing is read by itself."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.folder import WEIGHTS
from model.loading import folder_of
from stream.classifier import DEFAULT
from stream.commands.options import kind_of
from stream.errors import SettingsError
from stream.settings import SECTIONS, Settings, load_settings, resolve_settings

ENTRIES = {
    "max_batch_tokens": st.integers(1, 2**31 - 1),
    "max_wait_ms": st.floats(0, 1e9).map(lambda value: round(value, 3)),
    "guarantee": st.sampled_from(["exactly_once", "at_least_once"]),
    "include_text": st.booleans(),
    "group_id": st.text("abcdefghijkl-.0123456789", min_size=1),
}
SOURCES = ("flag", "environment", "file")


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def message_of(flags: dict[str, Any] | None = None, *, config: Path | None = None) -> str:
    """The one line that a person sees."""
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, config=config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_number(annotation: Any) -> bool:
    return kind_of(annotation) in (int, float)


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return tmp_path / "emotion-stream.toml"


@given(
    written=st.fixed_dictionaries(
        {name: st.dictionaries(st.sampled_from(SOURCES), values) for name, values in ENTRIES.items()}
    )
)
def test_the_strongest_source_that_has_a_value_wins(
    written: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def of(source: str) -> dict[str, Any]:
        return {name: by_source[source] for name, by_source in written.items() if source in by_source}

    config = tmp_path_factory.mktemp("settings") / "any.toml"
    config.write_text("".join(f"{name} = {toml(value)}\n" for name, value in of("file").items()))
    environment = {f"EMOTION_{name.upper()}": str(value) for name, value in of("environment").items()}
    flags = dict.fromkeys(ENTRIES) | {name: str(value) for name, value in of("flag").items()}
    with mock.patch.dict(os.environ, environment):
        resolved = resolve_settings(flags, config=config)

    for name, by_source in written.items():
        winner = next((source for source in SOURCES if source in by_source), "default")
        expected = by_source.get(winner, Settings.model_fields[name].default)
        assert getattr(resolved.settings, name) == expected
        assert resolved.origin(name).kind == winner


def test_settings_made_directly_read_neither_environment_nor_file(
    monkeypatch: pytest.MonkeyPatch, settings_file: Path
) -> None:
    monkeypatch.setenv("EMOTION_PARTITIONS", "3")
    settings_file.write_text("retention_days = 1")
    assert Settings() == Settings(partitions=8, retention_days=7.0)


def test_the_file_in_the_working_directory_is_read(settings_file: Path) -> None:
    settings_file.write_text('model = "fake"\noptout_file = "people.txt"\nmax_wait_ms = 5\n')
    settings = load_settings()
    assert (settings.model, settings.optout_file, settings.max_wait_ms) == ("fake", Path("people.txt"), 5.0)


def test_a_file_named_by_flag_goes_before_one_named_by_variable_before_the_default_one(
    monkeypatch: pytest.MonkeyPatch, settings_file: Path, tmp_path: Path
) -> None:
    settings_file.write_text("partitions = 1")
    assert load_settings().partitions == 1
    (tmp_path / "by-variable.toml").write_text("partitions = 2")
    monkeypatch.setenv("EMOTION_CONFIG", "by-variable.toml")
    assert load_settings().partitions == 2
    (tmp_path / "by-flag.toml").write_text("partitions = 3")
    assert load_settings(config=Path("by-flag.toml")).partitions == 3


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_HTTP_PORT", "")
    assert load_settings().http_port is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("partitions = true", "partitions (FILE): must be a valid integer, not True"),
        ('partitions = "8"', "partitions (FILE): must be a valid integer, not '8'"),
        ("partitions = 0", "partitions (FILE): must be greater than 0, not 0"),
        ('guarantee = "once"', "guarantee (FILE): must be 'exactly_once' or 'at_least_once', not 'once'"),
        ("max_wait_ms = 2020-01-01", "max_wait_ms (FILE): must be a valid number, not '2020-01-01'"),
        ("http_port = -1", "http_port (FILE): must be greater than or equal to 0, not -1"),
        ("http_port = 65_536", "http_port (FILE): must be less than or equal to 65535, not 65536"),
        ("dashboard_port = 70_000", "dashboard_port (FILE): must be less than or equal to 65535, not 70000"),
        (
            "bootstrap_servers = 'a:1, b:PORT'",
            "bootstrap_servers (FILE): 'b:PORT' is no address: write host:",
        ),
        ("bootstrap_servers = '[::1'", "bootstrap_servers (FILE): '[::1' is no address: write host:port"),
        ("bootstrap_servers = 'a..b:1'", "bootstrap_servers (FILE): 'a..b:1' is no address: write host:port"),
        ("webhook_url = 'https://a:PORT/x'", "webhook_url (FILE): is no URL: write https://HOST/PATH"),
        ("webhook_url = 'https://[x/y'", "webhook_url (FILE): is no URL: write https://HOST/PATH"),
        ("alertmanager_url = 'http://a,http://:9'", "alertmanager_url (FILE): is no URL: write https://HOST"),
        ("registry_url = 'https://a:99999'", "registry_url (FILE): is no URL: write https://HOST/PATH"),
        ("registry_url = 'desk:s3cret@a:1'", "registry_url (FILE): is no URL: write https://HOST/PATH"),
        ("webhook_url = 'desk:s3cret@a/x'", "webhook_url (FILE): is no URL: write https://HOST/PATH"),
        ("max_wait = 20", "settings file FILE: unknown setting 'max_wait'; did you mean max_wait_ms?"),
        ("xyz = 1", "settings file FILE: unknown setting 'xyz'"),
        ("[kafka]\nclient_id = 'x'", "FILE: [kafka]: settings stand at the top level, not in tables"),
        ("partitions == 1", "settings file FILE: not TOML: "),
    ],
)
def test_a_wrong_line_in_the_file_is_named_with_what_is_allowed(
    settings_file: Path, line: str, said: str
) -> None:
    settings_file.write_text(line)
    assert said.replace("FILE", "emotion-stream.toml") in message_of()


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere.toml", "No such file or directory"), (".", "Is a directory"), ("latin.toml", "not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "latin.toml").write_bytes(b'client_id = "caf\xe9"')
    assert message_of(config=Path(path)).startswith(f"settings file {path}: {said}")


NUMBERS = sorted(name for name, field in Settings.model_fields.items() if is_number(field.annotation))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("given", ["inf", "nan", "-inf", "1e300", str(2**64)])
def test_no_number_is_without_an_end(name: str, given: str) -> None:
    assert message_of({name: given}).startswith(f"{name} (--{name.replace('_', '-')}): must be ")


def test_an_infinity_in_the_file_is_refused(settings_file: Path) -> None:
    settings_file.write_text("max_ahead_s = inf")
    assert "max_ahead_s (emotion-stream.toml): must be a finite number" in message_of()


def test_the_largest_message_still_has_topics() -> None:
    """Kafka holds max.message.bytes in 32 bits."""
    largest = load_settings({"max_message_bytes": str(2**27), "retention_days": "36500"})
    assert max(spec.max_message_bytes or 0 for spec in largest.topic_specs()) < 2**31


def test_an_address_may_be_a_name_or_a_number_with_or_without_a_port(settings_file: Path) -> None:
    servers, urls = (
        "a,a_b.c:9092,127.0.0.1:1,[::1]:9092,::1,bücher.example:1",
        "https://a/b:c?d,http://[::1]:9",
    )
    settings_file.write_text(f"bootstrap_servers = '{servers}'\nalertmanager_url = '{urls}'")
    loaded = load_settings()
    assert (loaded.bootstrap_servers, loaded.alertmanager_url) == (servers, urls)


def test_a_wrong_variable_and_a_wrong_flag_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "must be a valid number, not 'soon'"
    assert message_of({"max_wait_ms": "soon"}) == f"max_wait_ms (--max-wait-ms): {said}"
    monkeypatch.setenv("EMOTION_MAX_WAIT_MS", "soon")
    assert message_of() == f"max_wait_ms (EMOTION_MAX_WAIT_MS): {said}"


def test_a_mistyped_variable_is_warned_of_with_the_closest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_MAX_WAIT", "5")
    monkeypatch.setenv("EMOTION_DATA", "/data")
    assert resolve_settings().warnings == (
        "EMOTION_MAX_WAIT is set, but no setting reads it; did you mean EMOTION_MAX_WAIT_MS?",
    )


def test_variables_that_kubernetes_adds_for_services_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_STREAM_MONITOR_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("EMOTION_STREAM_MONITOR_PORT_8080_TCP_ADDR", "10.0.0.1")
    assert resolve_settings().warnings == ()


def test_a_secret_is_shown_neither_in_a_message_nor_when_printed(settings_file: Path) -> None:
    settings_file.write_text("sasl_password = 314159265\n")
    assert "314159265" not in message_of()
    settings = load_settings(config=Path(os.devnull), flags={"sasl_password": "open sesame"})
    assert "open sesame" not in f"{settings} {settings!r} {settings.model_dump(mode='json')}"


def test_every_setting_is_described_and_belongs_to_one_section() -> None:
    in_sections = [name for section in SECTIONS.values() for name in section.model_fields]
    assert sorted(in_sections) == sorted(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())


def test_the_description_of_the_model_names_the_one_that_is_loaded_where_none_is_named() -> None:
    assert str(Settings.model_fields["model"].description).endswith(f" Default: {DEFAULT}.")
    assert folder_of(None) == folder_of(DEFAULT) == WEIGHTS
