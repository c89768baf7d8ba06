"""What the demo takes from the monitor, and the settings that it gives it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream.demo.monitoring import MonitorView
from stream.monitor.events import WindowCounter
from stream.processes import environment_of
from stream.settings import Settings, load_settings
from tests.test_examples import alert

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def counter(messages: int, *, channel: str = "*", window_s: int = 60, minute: int = 0) -> bytes:
    start = MOMENT + timedelta(minutes=minute)
    return (
        WindowCounter(
            channel=channel,
            window_s=window_s,
            start=start,
            end=start + timedelta(seconds=window_s),
            messages=messages,
            labels={"joy": messages},
            mean_confidence=0.9,
            opted_out=0,
            dead_lettered=0,
            tombstones=0,
        )
        .model_dump_json()
        .encode()
    )


@pytest.fixture
def view() -> MonitorView:
    return MonitorView(60, "starting")


def test_a_later_record_of_a_window_replaces_the_earlier(view: MonitorView) -> None:
    for value in (counter(3), counter(5), counter(2, minute=1)):
        view.count(value)
    assert view.counted == 7


def test_other_windows_and_single_channels_are_not_counted_again(view: MonitorView) -> None:
    for value in (counter(3), counter(3, channel="support"), counter(3, window_s=300), None):
        view.count(value)
    assert view.counted == 3


def test_an_alert_is_news_when_it_begins_and_when_it_ends(view: MonitorView) -> None:
    firing = alert(1)
    again = firing.model_copy(update={"revision": 2})
    resolved = firing.model_copy(update={"revision": 3, "status": "resolved"})
    told = [
        view.alert(record.model_dump_json().encode()) for record in (firing, again, again, resolved, firing)
    ]
    assert told == [firing, None, None, resolved, None]
    assert view.alert(None) is None


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(
        bootstrap_servers="127.0.0.1:9092",
        author_key=SecretStr("a key for the tests"),
        include_text=True,
        state_dir=tmp_path,
        partitions=3,
    )
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_settings_at_their_default_are_not_passed_on() -> None:
    assert environment_of(Settings()) == {}
