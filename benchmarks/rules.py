"""How many authors the rules find, and how many they name in vain: authors made of graded messages.

    python -m benchmarks.rules                        the rules that ship, on validation messages
    python -m benchmarks.rules --rules mine.toml      another file's
    EMOTION_DATA=data python -m benchmarks.rules --split test

No stream of people in distress is at hand, so authors are drawn: each writes ordinary messages first, and
then some that a person graded (``training/messages``), among ordinary ones. Real people repeat themselves,
and write on one subject; figures say how rules compare, not what a stream will bring.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from benchmarks.messages import messages
from model.contract import Model
from model.loading import load
from stream.events import DistressReading, DistressSignal, ModelRef, Source
from stream.monitor.backtest import replay
from stream.monitor.counting import CountPolicy
from stream.monitor.rules import AuthorRule, RuleSet
from stream.monitor.rulesfile import SHIPPED_RULES, load_rules
from training.data.messages import load_distress

BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
APART: Final = timedelta(minutes=6)
"""Between two messages of an author."""
MODEL: Final = ModelRef(name="measured", revision="0")
ORDINARY: Final = 0
"""The grade of messages about nothing that weighs on anybody, however angry."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Authors with ``before`` ordinary messages, then ``after``, of which a share has one of ``grades``."""

    title: str
    grades: tuple[int, ...] = (ORDINARY,)
    share: float = 1.0
    before: int = 10
    after: int = 12


KINDS: Final = (
    Kind("ordinary messages alone", before=0, after=60),
    Kind("half of them of a hard time (grade 1)", (1,), 0.5),
    Kind("all of them of a hard time (grade 1)", (1,)),
    Kind("half of them of suffering or danger (2, 3)", (2, 3), 0.5),
    Kind("three in four (2, 3)", (2, 3), 0.75),
    Kind("all of them (2, 3)", (2, 3)),
    Kind("five messages in all, all of them (2, 3)", (2, 3), before=0, after=5),
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Distress scores by grade; ``ORDINARY`` holds those of real streams too, where they are at hand."""

    by_grade: dict[int, list[float]]

    @classmethod
    def of(cls, model: Model, split: str) -> "Scores":
        rows = [row for row in getattr(load_distress(), split) if row.language == "en"]
        texts = {grade: [row.text for row in rows if row.distress == grade] for grade in range(4)}
        texts[ORDINARY] += messages(1200)[0]
        return cls({grade: _scores(model, texts) for grade, texts in texts.items()})

    def author(self, kind: Kind, choose: random.Random) -> list[float]:
        drawn = [choose.choice(self.by_grade[ORDINARY]) for _ in range(kind.before)]
        for _ in range(kind.after):
            grade = choose.choice(kind.grades) if choose.random() < kind.share else ORDINARY
            drawn.append(choose.choice(self.by_grade[grade]))
        return drawn


def _scores(model: Model, texts: Sequence[str]) -> list[float]:
    batch = model.tokenize(texts)
    return [one.distress.score for one in model.decide(batch, model.forward(batch))]


def alerted(rule: AuthorRule, authors: Sequence[Sequence[float]]) -> float:
    """Authors of a thousand about whom the rule alerts."""
    signals = [
        _signal(author, number, score)
        for author, scores in enumerate(authors)
        for number, score in enumerate(scores)
    ]
    return replay(RuleSet(rule=(rule,)), signals, CountPolicy()).authors_alerted_per_thousand


def _signal(author: int, number: int, score: float) -> DistressSignal:
    return DistressSignal(
        id=f"{author}-{number}",
        author=f"author-{author}",
        label="sadness",
        confidence=1.0,
        distress=DistressReading(score=score, level="none"),
        ts=BEGAN + number * APART,
        model=MODEL,
        source=Source(topic="drawn", partition=0, offset=0),
    )


@click.command()
@click.option("--model", "folder", default=None, help="A model folder; default: the weights that ship.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
@click.option("--authors", default=1000, show_default=True, help="Authors of each kind.")
@click.option("--rules", "file", default=SHIPPED_RULES, type=click.Path(path_type=Path), help="Of this file.")
def main(folder: str | None, split: str, authors: int, file: Path) -> None:
    """Authors alerted, of a thousand of each kind."""
    scores = Scores.of(load(folder, device="cpu"), split)
    rules = [rule for rule in load_rules(file).of_authors if isinstance(rule, AuthorRule)]
    table = Table("authors whose newest messages are", *(rule.name for rule in rules))
    for kind in KINDS:
        choose = random.Random(kind.title)
        drawn = [scores.author(kind, choose) for _ in range(authors)]
        table.add_row(kind.title, *(f"{alerted(rule, drawn):.0f}" for rule in rules))
    console = Console(highlight=False)
    console.print(table)
    for grade, values in scores.by_grade.items():
        ranked = sorted(values)
        quarters = " ".join(f"{ranked[len(ranked) * part // 4]:.2f}" for part in (1, 2, 3))
        console.print(f"grade {grade}: {len(ranked)} messages, score quartiles {quarters}")


if __name__ == "__main__":
    main()
