"""The rules that ship, held against the weights that ship: levels mean nothing without a scale."""

from collections.abc import Iterator

import orjson
import pytest

from model.loading import load
from stream.demo.feed import own_messages
from stream.events import DistressReading, DistressSignal
from stream.monitor.backtest import Backtest, replay
from stream.monitor.counting import CountPolicy
from stream.monitor.rulesfile import SHIPPED_RULES, load_rules
from tests.stream.monitor.factories import NOON, at, signal

APART_S = 60


def signals_of_the_demo() -> Iterator[DistressSignal]:
    """Its messages, one a minute, as the annotator would publish them."""
    values = [record.value for record in own_messages() if record.key]
    messages = [message for value in values if isinstance(message := orjson.loads(value), dict)]
    model = load(device="cpu")
    batch = model.tokenize([message["text"] for message in messages])
    readings = model.decide(batch, model.forward(batch))
    for number, (message, read) in enumerate(zip(messages, readings, strict=True)):
        yield signal(
            author=message["author"], channel=message["channel"], offset=number, ts=NOON + number * APART_S
        ).model_copy(
            update={
                "label": read.label,
                "distress": DistressReading(score=read.distress.score, level=read.distress.level),
                "ts": at(NOON + number * APART_S),
            }
        )


@pytest.fixture(scope="module")
def demo() -> Backtest:
    return replay(load_rules(SHIPPED_RULES), signals_of_the_demo(), CountPolicy(judge_delay_s=0))


def test_of_the_demos_authors_the_one_who_gets_worse_is_shown_and_nobody_else(demo: Backtest) -> None:
    assert {alert.author for alert in demo.alerts} == {"quietharbour"}


def test_the_alerts_rest_on_several_messages(demo: Backtest) -> None:
    assert "sustained-distress" in {alert.rule for alert in demo.alerts}
    assert all(alert.evidence.messages >= 4 for alert in demo.alerts)
