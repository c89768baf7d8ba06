"""Pass rates on the behavioural test set, by kind: what ``evaluate`` publishes beside the benchmarks."""

from dataclasses import dataclass

from model.classifier import EmotionClassifier
from training.data.behaviour_cases import CASES


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: what it expected and what the model said."""

    kind: str
    text: str
    accepted: tuple[str, ...]
    label: str
    confidence: float

    @property
    def passed(self) -> bool:
        """Whether the model's label is one that the case accepts."""
        return self.label in self.accepted


def run_cases(classifier: EmotionClassifier) -> list[Outcome]:
    """Every case, through the shipped decision rule."""
    cases = [(kind, labels, text) for kind, group in CASES.items() for labels, text in group]
    emotions = classifier.classify([text for _, _, text in cases])
    return [
        Outcome(kind, text, tuple(labels.split("|")), emotion.label, emotion.confidence)
        for (kind, labels, text), emotion in zip(cases, emotions, strict=True)
    ]


def pass_rates(outcomes: list[Outcome]) -> dict[str, tuple[int, int]]:
    """Passed and all cases of each kind, in the order of the set."""
    rates = dict.fromkeys(CASES, (0, 0))
    for outcome in outcomes:
        passed, count = rates[outcome.kind]
        rates[outcome.kind] = (passed + outcome.passed, count + 1)
    return rates
