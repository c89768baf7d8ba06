"""The training loop: a recipe, a base and rows in; a model folder with its log out.

    for each epoch: draw rows, augment, encode ─► batches ─► forward, loss, backward, step, average ─►
    validate
                                                     └─ checkpoint, keep the best epoch, stop early ─┘

The run's folder holds the best epoch's model (``model.safetensors``, ``config.json``, tokenizer),
``run.json`` (recipe, command, data, history) and ``log.csv`` (learning curve); while it runs also
``checkpoint.pt``, from which ``--resume`` goes on after the last whole epoch, with the same outcome as
without the break.
"""

import contextlib
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model.folder import SAFETENSORS_FILE
from model.labels import NEUTRAL
from model.runtimes.distress import distress_row, narrow_for_saving, widen
from model.tokenizer import Tokenizer
from training.bases.base import HfModel, load_base
from training.data.augment import augment
from training.data.rows import Row, label_counts
from training.errors import TrainingError
from training.fit.batches import Batch, encode, ordered_batches, training_batches
from training.fit.dropout import share_dropout_along_sequence
from training.fit.losses import Wanted, class_weights, loss
from training.fit.recipes import Recipe
from training.fit.runlog import RunLog
from training.fit.targets import SoftTargets, targets
from training.metrics import Floats, accuracy, macro_f1, presence_f1, softmax
from training.runs import RUN_FILE

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

EVAL_BATCH: Final = 128
# The average moves every fourth step, by as much as in four: it reads and writes all weights.
AVERAGE_EVERY: Final = 4
# The attention's projections by the names that DistilBERT, BERT, GPT-2 and GPT-NeoX give them.
ATTENTION: Final = frozenset(
    {"q_lin", "k_lin", "v_lin", "out_lin", "query", "key", "value", "c_attn", "c_proj", "query_key_value"}
)
CHECKPOINT: Final = "checkpoint.pt"

Progress = Callable[[int, int, float], None]
"""Called after each step with steps done, steps in all, and the loss."""


@dataclass(frozen=True, slots=True)
class Device:
    """What to train on: torch's name of it, and whether products are computed in bfloat16."""

    name: str
    bf16: bool

    @classmethod
    def named(cls, name: str, precision: str = "auto") -> "Device":
        """``name`` is "auto", "cpu" or "cuda"; bf16 by default where the hardware has it."""
        import torch

        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise TrainingError("no CUDA device is visible to torch: use --device cpu")
        if precision != "auto":
            return cls(name, precision == "bf16")
        if name == "cpu":
            # The question has no public form for CPUs; torch's own compiler asks it this way.
            return cls(name, bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
        return cls(name, torch.cuda.is_bf16_supported())

    @property
    def precision(self) -> str:
        """The classifier's name of the precision."""
        return "bf16" if self.bf16 else "fp32"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which a forward pass runs."""
        import torch

        return torch.autocast(self.name.split(":")[0], torch.bfloat16, enabled=self.bf16)


@dataclass(frozen=True, slots=True)
class FitResult:
    """The folder a run wrote, its best validation score and epoch, and how long it took."""

    folder: Path
    score: float
    epoch: int
    seconds: float


def predict(model: HfModel, tokenizer: Tokenizer, rows: Sequence[Row], device: Device, pad_id: int) -> Floats:
    """Logits of each row's labels, shape (N, K). Leaves the model in evaluation mode."""
    import torch

    ids = encode(tokenizer, rows)
    logits = np.empty((len(rows), int(model.config.num_labels)))
    model.eval()
    with torch.inference_mode():
        for batch in ordered_batches(ids, EVAL_BATCH, pad_id):
            outputs = forward(model, batch, device).cpu().numpy()
            logits[list(batch.rows)] = outputs[:, : logits.shape[1]]
    return logits


def forward(model: HfModel, batch: Batch, device: Device) -> "Tensor":
    """Outputs of one batch in float32, shape (B, K), with distress (B, K + 1)."""
    with device.autocast():
        output = model(
            input_ids=batch.input_ids.to(device.name), attention_mask=batch.attention_mask.to(device.name)
        )
    logits: Tensor = output.logits.float()
    return logits


def validation_score(logits: Floats, rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1, over the labels that the rows can have: dair-ai/emotion has no neutral.

    Of rows that carry several labels, accuracy is the share whose most probable label is one of theirs, and
    macro-F1 is of the emotions that are more likely there than not, a mean over the languages.
    """
    if any(row.also or row.unknown for row in rows):
        return _several_labels_score(logits, rows, labels)
    names = sorted({row.label for row in rows}, key=list(labels).index)
    columns = [list(labels).index(name) for name in names]
    truth = np.array([names.index(row.label) for row in rows])
    predicted = logits[:, columns].argmax(axis=1)
    log_likelihood = np.log(softmax(logits[:, columns])[np.arange(len(rows)), truth] + 1e-12)
    return {
        "accuracy": accuracy(predicted, truth),
        "macro_f1": macro_f1(predicted, truth, len(names)),
        "nll": float(-log_likelihood.mean()),
    }


def _several_labels_score(logits: Floats, rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    own = targets(rows, labels)
    by_language: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        by_language.setdefault(row.language, []).append(i)
    emotions = [k for k, label in enumerate(labels) if label != NEUTRAL]
    said, present, known = logits[:, emotions] > 0, own.present[:, emotions], own.known[:, emotions]
    scores = [presence_f1(said[place], present[place], known[place]) for place in by_language.values()]
    hits = own.present[np.arange(len(rows)), logits.argmax(axis=1)]
    likely = np.where(own.known > 0, np.abs(own.present - 1 / (1 + np.exp(np.clip(logits, -30, 30)))), 1.0)
    return {
        "accuracy": float(hits.mean()),
        "macro_f1": float(np.mean(scores)),
        "nll": float(-np.log(np.maximum(likely, 1e-12)).mean()),
    }


class Fit:
    """One training run. ``run`` does it all; the parts are named after what they do."""

    def __init__(
        self,
        recipe: Recipe,
        train: Sequence[Row],
        validation: dict[str, Sequence[Row]],
        out: Path,
        *,
        seed: int,
        device: Device,
        teacher: SoftTargets | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``teacher``: what teachers say of ``train``. ``validation``: rows by data set."""
        import torch

        if recipe.distil and teacher is None:
            raise TrainingError(f"recipe {recipe.name} distils: name the teachers with --teacher")
        if not train or not all(validation.values()):
            raise TrainingError("there are no rows to train on, or none to validate on")
        torch.manual_seed(seed)
        self.recipe, self.out, self.seed, self.device = recipe, out, seed, device
        self.train, self.validation = list(train), validation
        self._progress = progress
        model, self.hf_tokenizer = load_base(
            recipe.base,
            recipe.labels,
            dropout=recipe.dropout,
            attention_dropout=recipe.attention_dropout,
            # At the lengths of messages, sdpa is the slower one on a CPU.
            attention="eager" if device.name == "cpu" else "sdpa",
        )
        self.tokenizer = Tokenizer(
            self.hf_tokenizer.backend_tokenizer,
            max_tokens=recipe.max_tokens,
            overlap_tokens=recipe.max_tokens // 4,
        )
        if recipe.distress:
            _with_distress_output(model, recipe.base)
        if recipe.frozen_embeddings:
            model.get_input_embeddings().requires_grad_(False)
        if recipe.sequence_dropout:
            share_dropout_along_sequence(model)
        self.model: HfModel = _with_adapters(model, recipe) if recipe.lora_rank else model
        self.model.to(device.name)
        self.average = _frozen_copy(self.model) if recipe.ema_decay else None
        self.optimizer = _optimizer(self.model, recipe)
        self.steps_an_epoch = math.ceil(len(self._drawn(0)) / recipe.batch_size)
        self.steps = self.steps_an_epoch * recipe.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        weights = class_weights(self.train, recipe)
        self._class_weights = None if weights is None else weights.to(device.name)
        self._label_ids = torch.tensor([recipe.labels.index(row.label) for row in self.train])
        own = targets(self.train, recipe.labels)
        self._shares, self._present, self._known = (
            torch.from_numpy(part).float() for part in (own.shares, own.present, own.known)
        )
        self._distress = torch.from_numpy(own.distress).float()
        said = (teacher.shares, teacher.present, teacher.distress) if teacher and recipe.distil else ()
        self._soft = tuple(torch.from_numpy(part).float() for part in said)
        self._step = 0
        self.log = RunLog(out)

    def run(self, *, resume: bool = False) -> FitResult:
        """Train until the last epoch or until validation no longer improves; the best epoch is what stays."""
        started = time.monotonic()
        self.out.mkdir(parents=True, exist_ok=True)
        first = self._restore() if resume and (self.out / CHECKPOINT).is_file() else 0
        seconds_before = self.log.seconds
        for epoch in range(first, self.recipe.epochs):
            mean_loss = self._train_epoch(epoch)
            model = self.average or self.model
            scores = {
                name: validation_score(self._predict(model, rows), rows, self.recipe.labels)
                for name, rows in self.validation.items()
            }
            seconds = seconds_before + time.monotonic() - started
            improved = self.log.add(
                epoch + 1, mean_loss, float(self.schedule.get_last_lr()[-1]), scores, seconds
            )
            if improved:
                self._save(model)
            self._checkpoint(epoch + 1)
            if self.log.epochs_since_best >= self.recipe.patience:
                break
        self._write_run_file()
        (self.out / CHECKPOINT).unlink(missing_ok=True)
        return FitResult(self.out, self.log.best_score, self.log.best_epoch, self.log.seconds)

    def _drawn(self, epoch: int) -> list[int]:
        """The training rows of one epoch, as indices: the recipe's share of each source."""
        rng = random.Random(f"draw {self.seed} {epoch}")
        by_source: dict[str, list[int]] = {}
        for i, row in enumerate(self.train):
            by_source.setdefault(row.source, []).append(i)
        drawn: list[int] = []
        for source, indices in by_source.items():
            limit = self.recipe.sources.get(source)  # type: ignore[call-overload]  # any source a row may name
            share = indices if limit is None or limit >= len(indices) else rng.sample(indices, limit)
            drawn += share * self.recipe.repeats.get(source, 1)  # type: ignore[call-overload]  # as above
        return drawn

    def _train_epoch(self, epoch: int) -> float:
        """One pass over the epoch's rows; the mean loss."""
        rng = random.Random(f"epoch {self.seed} {epoch}")
        drawn = self._drawn(epoch)
        rows = [self.train[i] for i in drawn]
        if self.recipe.augmentation is not None:
            rows = [augment(row, self.recipe.augmentation, rng) for row in rows]
        ids = encode(self.tokenizer, rows)
        self.model.train()
        total = 0.0
        for batch in training_batches(ids, self.recipe.batch_size, rng, self._pad_id):
            step_loss = self._train_step(batch, [drawn[row] for row in batch.rows])
            total += step_loss
            if self._progress is not None:
                self._progress(self._step, self.steps, step_loss)
        return total / self.steps_an_epoch

    def _train_step(self, batch: Batch, indices: list[int]) -> float:
        import torch

        passes = [forward(self.model, batch, self.device) for _ in range(2 if self.recipe.r_drop else 1)]
        step_loss = loss(passes, self._wanted(indices), self.recipe, self._class_weights)
        step_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        self._step += 1
        self._average_weights()
        return float(step_loss.detach())

    def _wanted(self, indices: list[int]) -> Wanted:
        """What these training rows ask for, on the device."""
        own = (self._label_ids, self._shares, self._present, self._known, self._distress)
        labels, shares, present, known, distress = (part[indices].to(self.device.name) for part in own)
        soft = [part[indices].to(self.device.name) for part in self._soft]
        if soft:
            soft[0] = soft[0] * shares.sum(dim=1, keepdim=True)
        return Wanted(labels, shares, present, known, distress, *soft)

    def _average_weights(self) -> None:
        """Move the average towards the weights; faster at first, so that it does not remember the base."""
        import torch

        if self.average is None or self._step % AVERAGE_EVERY:
            return
        decay = min(self.recipe.ema_decay, (1 + self._step) / (10 + self._step)) ** AVERAGE_EVERY
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for mean, parameter in pairs:
                if parameter.requires_grad:
                    mean.lerp_(parameter, 1 - decay)

    def _rate(self, step: int) -> float:
        """Factor of the learning rate: linear warm-up, then linear decay to zero."""
        warmup = max(1, round(self.recipe.warmup * self.steps))
        return min((step + 1) / warmup, max(0.0, (self.steps - step) / max(1, self.steps - warmup)))

    @property
    def _pad_id(self) -> int:
        return int(self.hf_tokenizer.pad_token_id)

    def _predict(self, model: HfModel, rows: Sequence[Row]) -> Floats:
        return predict(model, self.tokenizer, rows, self.device, self._pad_id)

    def _save(self, model: HfModel) -> None:
        """The model as a plain folder that transformers opens; adapters are merged into it."""
        import copy

        plain = model
        if self.recipe.lora_rank:
            plain = copy.deepcopy(model).merge_and_unload()
        if self.recipe.distress:
            plain = copy.deepcopy(model)
            narrow_for_saving(plain)
        plain.save_pretrained(self.out)
        self.hf_tokenizer.save_pretrained(self.out)

    def _checkpoint(self, epochs_done: int) -> None:
        """Everything that the next epoch depends on, written beside and then renamed."""
        import torch

        state = {
            "epochs_done": epochs_done,
            "step": self._step,
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "recipe": json.dumps(self.recipe.as_dict()),
            "log": self.log.state(),
        }
        partial = self.out / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.out / CHECKPOINT)

    def _restore(self) -> int:
        """Go back to the last checkpoint; the number of epochs that are done."""
        import torch

        state = torch.load(self.out / CHECKPOINT, weights_only=True, map_location=self.device.name)
        if state["recipe"] != json.dumps(self.recipe.as_dict()):
            raise TrainingError(
                f"{self.out} was begun with another recipe: leave --resume out, or use another --out"
            )
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self._step = state["step"]
        self.log.restore(state["log"])
        return int(state["epochs_done"])

    def _write_run_file(self) -> None:
        run = {
            "command": " ".join(["emotion-train", *sys.argv[1:]]),
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
            "device": self.device.name,
            "bf16": self.device.bf16,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "train_rows": {source: label_counts(rows) for source, rows in _by_source(self.train)},
            "validation_rows": {name: len(rows) for name, rows in self.validation.items()},
            "best_epoch": self.log.best_epoch,
            "best_score": self.log.best_score,
            "seconds": round(self.log.seconds, 1),
            "peak_bytes": peak_bytes(),
            "history": self.log.history,
        }
        (self.out / RUN_FILE).write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def peak_bytes() -> int:
    """The most memory that this process has held at a time."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux kibibytes


def _by_source(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for source in sorted({row.source for row in rows}):
        yield source, [row for row in rows if row.source == source]


def _frozen_copy(model: HfModel) -> HfModel:
    import copy

    average = copy.deepcopy(model)
    average.requires_grad_(False)
    return average


def _with_adapters(model: HfModel, recipe: Recipe) -> Any:
    """The model with frozen weights, LoRA adapters (Hu et al., 2021) on the attention, and a trained head."""
    from peft import LoraConfig, TaskType, get_peft_model

    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    attention = sorted(names & ATTENTION)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=recipe.lora_rank,
        lora_alpha=2 * recipe.lora_rank,
        lora_dropout=recipe.dropout,
        target_modules=attention,
        modules_to_save=["pre_classifier", "classifier"] if "pre_classifier" in names else None,
    )
    return get_peft_model(model, config)


def _with_distress_output(model: HfModel, base: str) -> None:
    """Give the model its row for distress: the base's where it is a run that has one, else a new one."""
    import torch

    weights = Path(base) / SAFETENSORS_FILE
    known = distress_row(weights) if weights.is_file() else None
    width = model.classifier.in_features
    widen(model, known or (torch.zeros(1, width), torch.zeros(1)))


def _optimizer(model: HfModel, recipe: Recipe) -> "Optimizer":
    """AdamW; lower layers learn slower, and neither embeddings nor biases and norms decay."""
    import torch

    layers = model.config.num_hidden_layers
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            depth = _depth(name, layers)
            decays = parameter.dim() > 1 and depth > 0
            groups.setdefault((depth, decays), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": recipe.learning_rate * recipe.layer_decay ** (layers + 1 - depth),
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=recipe.learning_rate, fused=True)


def _depth(name: str, layers: int) -> int:
    """0 for embeddings, 1 … layers for the layers, layers + 1 for the head."""
    if "embeddings" in name:
        return 0
    for marker in (".layer.", ".layers.", ".h."):
        if marker in name:
            return int(name.split(marker)[1].split(".")[0]) + 1
    return layers + 1
