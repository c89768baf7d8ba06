"""What a saved model says of rows: through the classifier that ships, so that what is measured is what
runs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.classifier import EmotionClassifier
from model.decide import logistic
from model.folder import CONFIG_FILE, SAFETENSORS_FILE, revision_of
from model.labels import EMOTIONS, LABEL2ID, LABELS, NEUTRAL
from model.outputs import SIZES
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row, text_key
from training.errors import TrainingError
from training.fit.crossfit import CrossFit
from training.fit.device import Device
from training.fit.probe import Probe
from training.fit.targets import SoftTargets
from training.fit.validation import presence_logits
from training.metrics import Floats, softmax
from training.runs import CROSSFIT_FILE, PROBE_FILE, read_arrays, run_of


def require_model(folder: Path) -> None:
    """Raises ``TrainingError`` where the folder holds no model."""
    if not (folder / CONFIG_FILE).is_file():
        raise TrainingError(f"{folder} holds no model: emotion-train fit --out {folder} makes one")


def open_classifier(folder: Path, *, device: str = "auto", precision: str = "fp32") -> EmotionClassifier:
    """The classifier in a run's or an exported folder. Raises ``TrainingError`` or ``ModelError``."""
    require_model(folder)
    return EmotionClassifier.load(folder, device=device, precision=precision)


def columns_of(classifier: EmotionClassifier) -> tuple[int, ...]:
    """The label of each logit that ``row_outputs`` gives, as an index into ``LABELS``: all from the first on.

    Raises ``TrainingError`` for a model that lacks an emotion, which cannot be measured beside others.
    """
    ordered = tuple(sorted(classifier.columns))
    if ordered != tuple(range(len(ordered))) or len(ordered) < len(EMOTIONS):
        lacking = next(label for k, label in enumerate(EMOTIONS) if k not in ordered)
        raise TrainingError(f"the model has no label {lacking!r}: use one that tells all six emotions apart")
    return ordered


def row_logits(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """Logits of each row's labels, in the order of ``LABELS`` whatever the model's is, shape (N, K); of
    several windows, their mean weighted by tokens.
    """
    return row_outputs(classifier, rows)[:, : len(classifier.columns)]


def row_outputs(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """What ``row_logits`` gives, and after it what the model says beside its labels (``model.outputs``)."""
    batch = classifier.tokenize([row.text for row in rows])
    by_window = classifier.forward(batch)
    weights = np.array([len(window) for encoded in batch for window in encoded.windows], dtype=np.float64)
    starts = np.cumsum([0, *(len(encoded.windows) for encoded in batch[:-1])])
    sums = np.add.reduceat(by_window * weights[:, None], starts, axis=0)
    outputs: Floats = sums / np.add.reduceat(weights, starts)[:, None]
    labels = len(columns_of(classifier))
    outputs[:, :labels] = outputs[:, np.argsort(classifier.columns)]
    return outputs


def row_presences(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """Of what ``row_outputs`` gives, the logits whose sigmoids say whether each label is there, (N, K)."""
    return presence_logits(row_outputs(classifier, rows), len(classifier.columns))


def soft_labels(
    teachers: Sequence[Path],
    rows: Sequence[Row],
    labels: int,
    *,
    device: str = "auto",
    precision: str = "fp32",
    untaught: Collection[str] = (),
) -> SoftTargets:
    """The mean of what the runs in ``teachers`` say of each row: what is distilled. Of rows of the sources
    ``untaught`` nobody is asked.

    Each teacher reads the texts with its own tokenizer, and only rows of the sources and languages that it
    was trained on; a row that none of them knows keeps its own label. What a teacher said of a text stays in
    its folder, so that other runs need not ask again. Which label stands first is left to those teachers that
    learnt nothing else, where there are some, distress to the probes, and all but distress to cross-fitted
    readings: of these texts the other teachers may know the labels by heart. (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015.)
    """
    ranked, shares, present, fitted_shares, fitted = (_Mean((len(rows), labels)) for _ in range(5))
    distress, probed = (_Mean((len(rows),)) for _ in range(2))
    for folder in teachers:
        taught = _taught(folder)
        known = [i for i, row in enumerate(rows) if row.source not in untaught and taught.knows(row)]
        if not known:
            continue
        outputs = _teacher_outputs(folder, [rows[i].text for i in known], device, precision)
        if outputs.shape[1] - taught.beside != labels:
            raise TrainingError(
                f"teacher {folder} has {outputs.shape[1] - taught.beside} labels, {labels} are needed"
            )
        if taught.ranks:
            alike = fitted_shares if taught.cross_fitted else shares if taught.presence else ranked
            alike.add(known, softmax(outputs[:, :labels]))
        if taught.presence:
            (fitted if taught.cross_fitted else present).add(known, _presences(outputs, labels, taught))
        if taught.distress:
            (probed if taught.probe else distress).add(known, logistic(outputs[:, -1]))
    mean = np.where(ranked.known[:, None], ranked.value(), shares.value())
    mean = np.where(fitted_shares.known[:, None], fitted_shares.value(), mean)
    for i in np.flatnonzero(np.isnan(mean[:, 0])).tolist():
        mean[i] = 0.0
        mean[i, [LABEL2ID[label] for label in rows[i].labels]] = 1 / len(rows[i].labels)
    said = np.where(probed.known, probed.value(), distress.value())
    there = np.where(np.isnan(fitted.value()), present.value(), fitted.value())
    return SoftTargets(mean, there, said, alone=fitted_shares.known)


def _presences(outputs: Floats, labels: int, taught: "_Taught") -> Floats:
    """How likely each label is there, shape (N, labels); NaN for those that the teacher never learnt."""
    likely = logistic(presence_logits(outputs, labels))
    likely[:, [k for k in range(labels) if LABELS[k] in taught.unmet]] = np.nan
    return likely


class _Mean:
    """A mean over what was said; NaN where nobody said anything."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._total, self._times = np.zeros(shape), np.zeros(shape)

    def add(self, rows: Sequence[int], values: Floats) -> None:
        """``values`` hold NaN for what this teacher does not know."""
        self._total[rows] += np.nan_to_num(values)
        self._times[rows] += ~np.isnan(values)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether somebody said something of each row, shape (N,)."""
        known: npt.NDArray[np.bool_] = self._times.reshape(len(self._times), -1).max(axis=1) > 0
        return known

    def value(self) -> Floats:
        return np.where(self._times > 0, self._total / np.maximum(self._times, 1), np.nan)


@dataclass(frozen=True, slots=True)
class _Taught:
    """What a teacher is asked of (all languages where none is named), whether its softmax, its sigmoids and
    its distress output mean something, and whether it is a probe or a ``CrossFit``. ``unmet``: labels that no
    row taught it to tell from others, as BRIGHTER's do not teach love; what it says of them is noise.
    """

    sources: frozenset[str]
    languages: frozenset[str]
    ranks: bool
    presence: bool
    presence_output: bool
    distress: bool
    probe: bool
    cross_fitted: bool
    unmet: frozenset[str]

    @property
    def beside(self) -> int:
        """How many outputs it has beside the labels."""
        return SIZES["presence"] * self.presence_output + SIZES["distress"] * self.distress

    def knows(self, row: Row) -> bool:
        return row.source in self.sources and (not self.languages or row.language in self.languages)


def _taught(teacher: Path) -> _Taught:
    run = run_of(teacher)
    recipe, sources = run.recipe, frozenset(run.train_rows)
    ranks = not sources <= frozenset(recipe.unranked)
    is_probe = (teacher / PROBE_FILE).is_file()
    is_cross_fitted = (teacher / CROSSFIT_FILE).is_file()
    met = {label for counts in run.train_rows.values() for label in counts}
    if is_probe or is_cross_fitted or not met:  # they say NaN of what they do not know; or nobody counted
        met = set(LABELS)
    if recipe.presence_output or not ranks:  # no output for it, or none but neutral texts told it
        met.discard(NEUTRAL)
    return _Taught(
        sources=sources | frozenset(recipe.asked),
        languages=frozenset(recipe.languages),
        ranks=ranks,
        presence=bool(recipe.presence),
        presence_output=recipe.presence_output,
        distress=bool(recipe.distress),
        probe=is_probe,
        cross_fitted=is_cross_fitted,
        unmet=frozenset(LABELS) - met,
    )


def _teacher_outputs(folder: Path, texts: Sequence[str], device: str, precision: str) -> Floats:
    """Outputs of each text (``row_outputs``); only texts that the teacher was never asked of are read."""
    if (folder / CROSSFIT_FILE).is_file():
        return CrossFit.open(folder).of(texts)
    is_probe = (folder / PROBE_FILE).is_file()
    weights = revision_of(folder / (PROBE_FILE if is_probe else SAFETENSORS_FILE))
    file = folder / f"soft-{weights}-{precision}.npz"
    keys = [text_key(text) for text in texts]
    known = _kept(file)
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        if is_probe:
            probe, hardware = Probe.open(folder), Device.named(device, precision)
            encoder = SentenceEncoder(probe.base, hardware.name, bf16=hardware.bf16)
            outputs = probe.outputs(encoder.embed(list(new.values())))
        else:
            classifier = open_classifier(folder, device=device, precision=precision)
            outputs = row_outputs(classifier, [Row(text, "", "") for text in new.values()])
        known |= zip(new, outputs, strict=True)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, keys=list(known), outputs=np.array(list(known.values())))
        partial.replace(file)
    return np.array([known[key] for key in keys])


def _kept(file: Path) -> dict[str, Floats]:
    """What a teacher said before, by text; nothing where there is no such file, or it is cut."""
    try:
        keys, outputs = read_arrays(file, "the teacher is asked again", "keys", "outputs")
    except TrainingError:
        return {}
    return dict(zip(keys.tolist(), outputs, strict=True))
