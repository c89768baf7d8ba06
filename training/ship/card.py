"""The model card, in hub format, written from the run's and the evaluation's own files: it cannot fall
behind them.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from model.calibration import Calibration, DistressLevels, DistressWeights
from model.folder import SAFETENSORS_FILE
from model.labels import EMOTIONS, LABEL2ID
from training.data.rows import load_emotion, load_goemotions
from training.errors import TrainingError
from training.evaluate.measured import Measured, measured_of
from training.evaluate.predict import open_classifier, row_logits
from training.metrics import accuracy, macro_f1
from training.runs import RUN_FILE, RecipeFacts, RunFacts, facts_of, run_of

_BASES: Final = {
    "runs/e5-6": "intfloat/multilingual-e5-small",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "mpnet": "sentence-transformers/all-mpnet-base-v2",
}


@dataclass(frozen=True, slots=True)
class Int8Loss:
    """What the int8 file loses against the torch weights beside it, in points of accuracy, on validation."""

    emotion_points: float
    emotion_macro_f1_points: float
    goemotions_points: float
    same_label: float
    largest_logit_difference: float


def int8_loss(folder: Path, data: Path | None, *, device: str = "auto") -> Int8Loss:
    """Compare ``model.int8.onnx`` with ``model.safetensors`` in ``folder`` on every validation row."""
    exact = open_classifier(folder, device=device, precision="fp32")
    int8 = open_classifier(folder, device="cpu", precision="int8")
    points = {}
    agreed, largest, f1_points = [], 0.0, 0.0
    for name, rows in (
        ("emotion", load_emotion(data).validation),
        ("goemotions", load_goemotions(data).validation),
    ):
        labels = np.array([LABEL2ID[row.label] for row in rows])
        columns = slice(0, len(EMOTIONS)) if name == "emotion" else slice(None)
        logits = [row_logits(classifier, rows)[:, columns] for classifier in (exact, int8)]
        named = [part.argmax(axis=1) for part in logits]
        points[name] = 100 * (accuracy(named[0], labels) - accuracy(named[1], labels))
        agreed.append(named[0] == named[1])
        largest = max(largest, float(np.abs(logits[0] - logits[1]).max()))
        if name == "emotion":
            f1_points = 100 * (macro_f1(named[0], labels, 6) - macro_f1(named[1], labels, 6))
    return Int8Loss(
        points["emotion"], f1_points, points["goemotions"], float(np.concatenate(agreed).mean()), largest
    )


def model_card(
    run: Path, exported: Path, data: Path | None, *, device: str = "auto", cpu_only: bool = False
) -> str:
    """The card of the weights in ``exported``, made from ``run``; ``cpu_only`` where those for torch will not
    ship. Raises ``TrainingError`` where it is not evaluated, or was only reopened and not trained.
    """
    metrics = measured_of(run)
    facts = run_of(run)
    if not any(map(sum, (counts.values() for counts in facts.train_rows.values()))):
        raise TrainingError(
            f"{run / RUN_FILE} counts no training row: fit a run that was reopened before you export it, and "
            "name such a run last where you average several"
        )
    calibration = Calibration.load(exported)
    loss = int8_loss(exported, data, device=device)
    return "\n".join(
        [
            _front_matter(calibration, metrics, facts),
            _introduction(calibration, facts, exported, _CPU_ONLY if cpu_only else _in_torch(facts.recipe)),
            _scores(metrics, loss, calibration),
            _training(facts, calibration),
            _LIMITS,
        ]
    )


def _front_matter(calibration: Calibration, metrics: Measured, facts: RunFacts) -> str:
    scores = metrics.benchmark
    return f"""---
language: [{", ".join(sorted({tag.partition("-")[0] for tag in calibration.measured_languages}))}]
license: other
license_name: research-and-education
base_model: {_base_name(facts)}
pipeline_tag: text-classification
library_name: transformers
tags: [emotion, distilbert, text-classification, onnx]
datasets: [{", ".join(_hub_names(facts))}]
metrics: [accuracy, f1]
model-index:
- name: {calibration.name}
  results:
  - task: {{type: text-classification, name: Text Classification}}
    dataset: {{name: dair-ai/emotion, type: dair-ai/emotion, config: split, split: test}}
    metrics:
    - {{type: accuracy, value: {scores["accuracy"]:.4f}}}
    - {{type: f1, name: F1 macro, value: {scores["macro_f1"]:.4f}}}
    - {{type: roc_auc, name: ROC-AUC weighted, value: {scores["roc_auc_weighted"]:.4f}}}
---
"""


_PIPELINE: Final = """```python
from transformers import pipeline
pipeline("text-classification", model="model/weights")("I can't believe how beautiful this day is!")
```

`model.safetensors` holds the weights in fp16. `model.int8.onnx` holds the same model for CPUs, with int8
products and embeddings."""

_BESIDE: Final = """
transformers knows the labels alone: it reports what stands beside them as unexpected, and leaves it out."""

_CPU_ONLY: Final = """```
emotion-stream classify --model multilingual "Мне так грустно, я весь вечер плакала"
```

`model.int8.onnx` holds the model for CPUs, with int8 products and embeddings. The weights for torch
(`model.safetensors`, fp16) are not in this folder, so that all that ships stays small: the commands below
make them."""


def _introduction(calibration: Calibration, facts: RunFacts, exported: Path, use: str) -> str:
    return f"""# {calibration.name}

Names the emotions of a short message: {", ".join(EMOTIONS)}, or neutral; in the languages
{", ".join(calibration.measured_languages)}. A
`DistilBertForSequenceClassification` with {_parameters(exported):,} parameters, fine-tuned from
{_base_name(facts)}.

{use}

`calibration.json` holds what reads the logits: the temperature
({calibration.temperature} times the normalised entropy of the plain softmax to the power of
{calibration.temperature_entropy}), the neutral threshold ({calibration.neutral_threshold}), and the map
and levels of the distress score. Weights `{calibration.revision}` are named by the start of the SHA-256 of
`model.safetensors`; `manifest.json` holds that of every file that decides a label, and the revision in
events covers all of them.
"""


def _in_torch(recipe: RecipeFacts) -> str:
    return _PIPELINE + _BESIDE if recipe.distress or recipe.presence_output else _PIPELINE


def _scores(metrics: Measured, loss: Int8Loss, calibration: Calibration) -> str:
    scores, go = metrics.benchmark, metrics.goemotions
    low, high = metrics.intervals["accuracy"]
    f1_low, f1_high = metrics.intervals["macro_f1"]
    rates, messages = metrics.behaviour, metrics.messages
    passed, count = (sum(rate[part] for rate in rates.values()) for part in (0, 1))
    by_label = "\n".join(
        f"| {r.label} | {r.precision:.3f} | {r.recall:.3f} | {r.f1:.3f} | {r.rows} |"
        for r in metrics.by_label
    )
    by_kind = "\n".join(f"| {kind} | {passed} of {count} |" for kind, (passed, count) in rates.items())
    return f"""## Scores

dair-ai/emotion, test split (2,000 rows), softmax over the six emotion logits alone; 95 % bootstrap
intervals:

| measure | score | interval |
|---|---|---|
| accuracy | {scores["accuracy"]:.4f} | {low:.4f} to {high:.4f} |
| macro-F1 | {scores["macro_f1"]:.4f} | {f1_low:.4f} to {f1_high:.4f} |
| weighted F1 | {scores["weighted_f1"]:.4f} | |
| ROC-AUC, weighted | {scores["roc_auc_weighted"]:.4f} | |
| ECE before temperature scaling | {scores["ece_before"]:.4f} | |
| ECE at the set's own temperature {scores["own_temperature"]} | {scores["ece_after"]:.4f} | |
| ECE as shipped, one calibration for all sets | {scores["ece_shipped"]:.4f} | |
| accuracy on the {scores["consistent_rows"]:.0f} rows that no training row contradicts | \
{scores["consistent_accuracy"]:.4f} | |

| label | precision | recall | F1 | rows |
|---|---|---|---|---|
{by_label}

GoEmotions, single-label test rows mapped to the seven labels ({go["rows"]:.0f} rows), by the shipped
decision rule: macro-F1 {go["macro_f1"]:.4f} ({go["macro_f1_low"]:.4f} to {go["macro_f1_high"]:.4f}),
accuracy {go["accuracy"]:.4f}, ECE {go["ece"]:.4f}.

Messages written for this project to test with ({messages["rows"]:.0f} rows): accuracy
{messages["accuracy"]:.4f}, macro-F1 {messages["macro_f1"]:.4f}, ECE {messages["ece"]:.4f}.

{_languages(metrics.languages, calibration)}

The behavioural set, {count} messages written for this project, {passed} passed:

| kind | passed |
|---|---|
{by_kind}

The int8 file against the fp16 weights, on all validation rows: {loss.emotion_points:+.2f} points of
accuracy lost on dair-ai/emotion ({loss.emotion_macro_f1_points:+.2f} of macro-F1),
{loss.goemotions_points:+.2f} on GoEmotions; the same label in {loss.same_label:.2%} of rows; logits
differ by {loss.largest_logit_difference:.2f} at most.
"""


def _languages(scores: dict[str, float], calibration: Calibration) -> str:
    """Scores by language, where the model was measured in several."""
    tags = [tag for tag in calibration.languages if f"brighter_{tag}" in scores]
    if not tags:
        return "Measured in English alone."
    rows = "\n".join(
        f"| {tag} | {scores[f'brighter_{tag}']:.3f} | {_percent(_on_messages(scores, tag))} |" for tag in tags
    )
    return f"""By language: macro-F1 of several emotions a text on BRIGHTER's dev rows (one threshold,
cross-validated), mean {scores["brighter_claimed_mean"]:.3f}; accuracy on messages written to test with.
{_xed(scores)} ECE on BRIGHTER's English:
{scores["brighter_en_ece"]:.3f}.

| language | BRIGHTER | messages |
|---|---|---|
{rows}"""


def _xed(scores: dict[str, float]) -> str:
    if "xed_en" not in scores:
        return "XED is no measure here: translations of its held-out English lines were trained on."
    return f"XED, English, held-out tenth, at the shipped thresholds: {scores['xed_en']:.3f}."


def _on_messages(scores: dict[str, float], tag: str) -> float | None:
    """Accuracy on the messages in the language; they know no regions."""
    return scores.get(f"messages_{tag}", scores.get(f"messages_{tag.partition('-')[0]}"))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _training(facts: RunFacts, calibration: Calibration) -> str:
    recipe = facts.recipe
    rows = "\n".join(
        f"- {_SOURCES.get(source, _OTHER).format(rows=sum(counts.values()), drawn=_drawn(recipe, source))}"
        for source, counts in facts.train_rows.items()
    )
    return f"""## Training

{_stages(facts)}

{_length(facts)}

{rows}

Rows that equal or nearly equal (word-3-gram Jaccard of 0.8 or more) a validation or test row of any of
the sets were left out of training. Temperature, thresholds and levels were chosen on validation rows. The
distress score {_distress(calibration, recipe)}; its levels begin at {_listed(calibration.distress_levels)}.
"""


def _length(facts: RunFacts) -> str:
    if facts.averaged:
        shares = ", ".join(f"{Path(run).name} {share:.2g}" for run, share in facts.averaged.items())
        return f"The mean of the weights of these runs, each with its share: {shares}."
    best = f"The best of {len(facts.history)} epochs on validation: {facts.best_epoch}."
    return best if facts.seconds is None else f"{best} {facts.seconds:.0f} s on {facts.device}."


def _distress(calibration: Calibration, recipe: RecipeFacts) -> str:
    if recipe.distress:
        share = "the share of graded messages that a person would want to see"
        return f"is an output of its own, calibrated to {share}"
    return f"weighs {_listed(calibration.distress_weights)}"


def _listed(numbers: DistressWeights | DistressLevels) -> str:
    return ", ".join(f"{name} {value}" for name, value in numbers.model_dump().items())


def _stages(facts: RunFacts) -> str:
    """The commands that made the weights, in order."""
    return "\n".join(["```", *dict.fromkeys(_commands(facts)), "```"])


def _commands(facts: RunFacts, later: frozenset[str] = frozenset()) -> list[str]:
    """The run's own commands behind those of the runs that it began from, or is the mean of.

    None of ``later`` is followed again: a run that was trained on in its own folder is its own base.
    """
    begun = [run for run in facts.averaged or [facts.recipe.base] if run and run not in later]
    earlier = [(run, facts_of(Path(run))) for run in begun]
    own = [facts.command, *([facts.refitted] if facts.refitted else [])]
    before = (_commands(one, later | {run}) for run, one in earlier if one is not None)
    return [command for commands in before for command in commands] + own


def _base_name(facts: RunFacts) -> str:
    """The pre-trained base that the first stage began from, by its name on the hub."""
    seen = set[str]()
    while (base := facts.recipe.base) not in {"", *seen} and (earlier := facts_of(Path(base))) is not None:
        seen.add(base)
        facts = earlier
    return _BASES.get(base, base)


def _parameters(exported: Path) -> int:
    """How many numbers the weights for torch are."""
    from safetensors import safe_open

    with safe_open(str(exported / SAFETENSORS_FILE), framework="pt") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping


def _drawn(recipe: RecipeFacts, source: str) -> str:
    limit = recipe.sources.get(source)
    return "" if limit is None else f", {limit:,} of them drawn anew each epoch"


def _hub_names(facts: RunFacts) -> list[str]:
    names = {
        "emotion": "dair-ai/emotion",
        "goemotions": "google-research-datasets/go_emotions",
        "banking77": "PolyAI/banking77",
    }
    return [names[source] for source in facts.train_rows if source in names]


_OTHER: Final = "A set that this version does not know, {rows:,} rows{drawn}."
_SOURCES: Final = {
    "emotion": "dair-ai/emotion (Saravia et al., CARER, EMNLP 2018), {rows:,} rows{drawn}. Terms: for "
    "educational and research purposes only.",
    "goemotions": "GoEmotions (Demszky et al., ACL 2020), CC BY 4.0, {rows:,} single-label rows{drawn}.",
    "banking77": "banking77 (Casanueva et al., 2020), CC BY 4.0, {rows:,} questions as neutral{drawn}.",
    "written": "Patterns written for this project, filled in at random, {rows:,} rows{drawn}.",
    "messages": "Messages written one by one for this project, {rows:,} rows{drawn}.",
    "brighter": "BRIGHTER (Muhammad et al., ACL 2025), CC BY 4.0, {rows:,} rows in other languages than "
    "English{drawn}.",
    "brighter_en": "BRIGHTER, English, {rows:,} rows{drawn}.",
    "xed": "XED (Öhman et al., COLING 2020), CC BY 4.0, {rows:,} subtitle lines{drawn}.",
    "languages": "Messages written one by one for this project in other languages, {rows:,} rows{drawn}.",
    "distress": "Messages graded by distress, written for this project, {rows:,} rows{drawn}.",
}

_LIMITS: Final = """## Intended use, limits and misuse

For trends over many messages, and for drawing a person's attention to messages that may need it. A label
is a guess about a text, not a finding about its author: sadness is not a diagnosis, and the distress
score is a statistical signal. Alerts go to people, who decide.

- The languages named above only. Others give labels without meaning.
- dair-ai/emotion was labelled by hashtags, GoEmotions by raters who often disagree: labels are noisy in
  training and in test. Most of the training text comes from Twitter and Reddit users of the 2010s.
- Sarcasm, quotations, reported speech and mixed feelings are often misread; see the behavioural set above.
- Love and joy, fear and surprise, anger and sadness are the commonest confusions.
- Not for decisions about a single person: hiring, policing, credit, school, insurance, care. Not for
  watching employees or pupils: inferring emotions at work and in education is prohibited in the European
  Union (AI Act, article 5).
- The terms of dair-ai/emotion bind these weights: research and education.
"""
