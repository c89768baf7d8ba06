"""What the demo shows: text as given and harmless, at any size of terminal, and an honest summary."""

import io
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from model.contract import ModelInfo
from stream.commands.lines import JOINER
from stream.demo.monitoring import MonitorView
from stream.demo.tally import DeadLettered, Labelled, Tally
from stream.demo.view import LineScreen, Scene, one_line, picture, summary
from stream.events import EmotionEvent

FAKE = ModelInfo(name="fake", revision="0" * 12, languages=("en",), device="cpu", precision="none")


def scene_of(*outcomes: Labelled | DeadLettered) -> Scene:
    tally = Tally(started_at=0.0)
    for offset, outcome in enumerate(outcomes):
        tally.sent((0, offset), 1.0)
        tally.seen((0, offset), outcome, 1.1)
    return Scene(tally, FAKE, "embedded at 127.0.0.1:9092", MonitorView(60, "starting"))


def labelled(text: str, label: str = "joy") -> Labelled:
    return Labelled(label, 0.87, "none", "community", text)


def drawn(scene: Scene, *, width: int = 140, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as capture:
        console.print(picture(scene, 2.0, width=width, height=height))
    return capture.get()


@given(st.text())
def test_text_becomes_one_line_without_control_characters(text: str) -> None:
    assert one_line(text).replace(JOINER, "").isprintable()


def test_an_emoji_of_several_parts_stays_one() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    assert one_line(family) == family


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_a_message_cannot_colour_the_screen() -> None:
    assert "[red]danger[/red] ·[31m" in drawn(scene_of(labelled("[red]danger[/red] \x1b[31m")))


@pytest.mark.parametrize(("width", "height"), [(40, 12), (90, 30), (100, 24), (240, 70)])
def test_the_picture_fits_the_terminals_width(width: int, height: int) -> None:
    picture_text = drawn(scene_of(labelled("long " * 100)), width=width, height=height)
    assert max(map(len, picture_text.splitlines())) <= width


def test_the_newest_message_stands_at_the_bottom() -> None:
    picture_text = drawn(scene_of(*(labelled(f"message {number:03d}") for number in range(100))))
    assert "message 099" in picture_text
    assert "message 000" not in picture_text
    assert picture_text.index("message 098") < picture_text.index("message 099")


@pytest.mark.parametrize("label", get_args(EmotionEvent.model_fields["label"].annotation))
def test_every_label_that_an_event_can_have_is_shown_and_counted(label: str) -> None:
    shown = drawn(scene_of(labelled("a text", label)))
    assert shown.count(label) == 2, "beside its text, and among the counts"


def test_a_line_has_label_confidence_distress_channel_and_text() -> None:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as capture:
        screen = LineScreen(console)
        screen.outcome(labelled("two\nlines"))
        screen.outcome(DeadLettered("not_json", "the value is not JSON"))
    first, second = capture.get().splitlines()
    assert first.split() == ["joy", "0.87", "none", "community", "two", "lines"]
    assert second.split(maxsplit=1) == ["dead", "not_json: the value is not JSON"]


def test_the_summary_counts_labels_and_causes() -> None:
    lines = summary(scene_of(labelled("a"), labelled("b", "anger"), DeadLettered("no_text", "")))
    assert lines[0] == "3 messages sent: 2 labelled, 1 dead-lettered"
    assert "joy 1" in lines[1]
    assert "anger 1" in lines[1]
    assert "dead letters: no_text 1" in lines
    assert "produce to labelled: p50 100 ms, p95 100 ms" in lines
    assert "exactly once: every message has exactly one outcome" in lines


def test_the_summary_says_what_is_missing_and_what_came_twice() -> None:
    scene = scene_of(labelled("a"))
    scene.tally.sent((0, 7), 1.0)
    scene.tally.seen((0, 0), labelled("a"), 2.0)
    assert "NOT exactly once: 1 messages without an outcome, 1 with several" in summary(scene)
