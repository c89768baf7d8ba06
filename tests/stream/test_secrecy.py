"""Secrets that are none are refused, in words that do not repeat them; and none goes on a command line."""

from pathlib import Path

import pytest
import yaml

from stream.errors import SettingsError
from stream.secrecy import secret_in_url
from stream.settings import load_settings
from tests.stream.commands import ROOT, run

GOOD = "9f2c4a6e8b0d1f3a5c7e9b1d3f5a7c9e"
KEYS = ("author_key", "webhook_secret", "http_token")


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("replace-with-64-hex-digits", "placeholder"),
        ("REPLACE_ME", "placeholder"),
        ("changeme", "placeholder"),
        ("change-me-before-production", "placeholder"),
        ("<a long random text>", "placeholder"),
        ("${EMOTION_AUTHOR_KEY}", "placeholder"),
        ("your-secret-key-goes-here", "placeholder"),
        ("secret", "placeholder"),
        ("k", "has 1 characters"),
        ("only-15-letters", "has 15 characters"),
        ("   k              ", "has 1 characters"),
        ("abababababababababab", "repeats 2 characters"),
    ],
)
def test_a_key_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"EMOTION_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"{name} .*{complaint}.*openssl rand -hex 32") as refused:
        load_settings()
    assert len(str(refused.value).splitlines()) == 1
    assert (
        value.strip() not in str(refused.value).replace("has 1 characters", "") or value.strip() in "k secret"
    )


@pytest.mark.parametrize("name", ["sasl_password", "ssl_password"])
def test_a_password_of_others_is_refused_only_as_a_placeholder(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"EMOTION_{name.upper()}", "short")
    assert load_settings()
    monkeypatch.setenv(f"EMOTION_{name.upper()}", "replace-me")
    with pytest.raises(SettingsError, match="placeholder"):
        load_settings()


def test_good_keys_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(f"EMOTION_{name.upper()}", GOOD)
    assert load_settings().author_key is not None


def test_a_placeholder_in_a_file_is_refused_too(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('author_key = "changeme"\n')
    with pytest.raises(SettingsError, match=r"author_key .*placeholder"):
        load_settings(config=file)


def test_what_the_example_secret_holds_does_not_start_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    example = (ROOT / "deploy/kubernetes/secret.example.yaml").read_text(encoding="utf-8")
    values = next(yaml.safe_load_all(example))["stringData"]
    for name in ("EMOTION_AUTHOR_KEY", "EMOTION_HTTP_TOKEN", "EMOTION_SASL_PASSWORD"):
        with monkeypatch.context() as patched:
            patched.setenv(name, values[name])
            with pytest.raises(SettingsError, match="placeholder"):
                load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "https://user:zebra@example.org/hook",
        "https://zebra@example.org/hook",
        "https://example.org/hook?key=zebra",
        "https://example.org/hook#zebra",
        "https://hooks.example.org/services/T0/B0/zebra123456ghiJKL789012",
        "http://one:9093, http://user:zebra@two:9093",
    ],
)
def test_a_url_with_a_secret_is_refused_on_the_command_line_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    assert secret_in_url(url)
    done = run("monitor", "--check", "--webhook-url", url)
    assert done.exit_code == 2
    assert "EMOTION_WEBHOOK_URL" in done.stderr
    assert "zebra" not in done.output
    monkeypatch.setenv("EMOTION_WEBHOOK_URL", url)
    monkeypatch.setenv("EMOTION_ALERTMANAGER_URL", url)
    for arguments in ((), ("--json",)):
        shown = run("settings", *arguments)
        assert shown.exit_code == 0
        assert "zebra" not in shown.output


@pytest.mark.parametrize(
    "url", ["http://alertmanager:9093", "https://example.org/alerts/emotion-stream", "x"]
)
def test_a_url_without_a_secret_may_stand_there(url: str) -> None:
    assert secret_in_url(url) is None


def test_a_check_says_what_is_missing_before_it_asks_the_broker() -> None:
    done = run("monitor", "--check", "--webhook-url", "https://example.org/alerts")
    assert done.exit_code == 2
    assert "EMOTION_WEBHOOK_SECRET" in done.stderr
    for program in ("monitor", "annotate"):
        servers = "--bootstrap-servers=localhost:1"
        done = run(program, "--check", "--http-port=0", "--http-host=0.0.0.0", servers)
        assert done.exit_code == 2, done.output
        assert "EMOTION_HTTP_TOKEN" in done.stderr
