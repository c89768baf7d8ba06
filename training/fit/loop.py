"""The training loop: a recipe, a base and rows in; a model folder with its log out.

    for each epoch: draw rows, augment, encode ─► batches ─► forward, loss, backward, step, average ─►
    validate
                                                     └─ checkpoint, keep the best epoch, stop early ─┘

The run's folder holds the best epoch's model (``model.safetensors``, ``config.json``, tokenizer),
``run.json`` (recipe, command, data, history) and ``log.csv`` (learning curve); while it runs also
``checkpoint.pt``, from which ``--resume`` goes on after the last whole epoch: on a CPU with the same outcome
as without the break, on CUDA with the same random numbers, where the rounding of a run is never repeated.
"""

import hashlib
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from model.labels import NEUTRAL
from model.runtimes.beside import narrow_for_saving
from model.tokenizer import Tokenizer
from training.bases.base import HfModel
from training.data.augment import augment
from training.data.rows import Resplit, Row, label_counts
from training.errors import TrainingError
from training.fit.batches import encode, training_batches
from training.fit.checkpoint import load_checkpoint, save_checkpoint
from training.fit.device import Device
from training.fit.graphs import GraphedStep, Step
from training.fit.losses import Wanted, class_weights, loss, require_finite
from training.fit.network import network_of
from training.fit.optimizer import WeightAverage, optimizer_of, rate_factor
from training.fit.recipe import Recipe
from training.fit.runlog import RunLog
from training.fit.targets import SoftTargets, Targets, targets
from training.fit.validation import forward, predict, validation_score
from training.metrics import Floats
from training.runs import (
    CHECKPOINT,
    command_line,
    forget_calibration,
    forget_run,
    require_resumable,
    writable,
    write_facts,
    written,
)

if TYPE_CHECKING:
    from torch import Tensor

# To show the loss waits for the device; a GPU should not stand still for that at each step.
SHOWN_EVERY: Final = 20

Progress = Callable[[int, int, float], None]
"""Called now and then with steps done, steps in all, and the loss."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """The folder a run wrote, its best validation score and epoch, and how long it took."""

    folder: Path
    score: float
    epoch: int
    seconds: float


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
        resplit: Resplit | None = None,
        teacher: SoftTargets | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``teacher``: what teachers say of ``train``. ``validation``: rows by data set. ``resplit``: the
        split of dair-ai/emotion that the rows are of, where it is not its own.
        """
        import torch

        if recipe.distil and teacher is None:
            raise TrainingError(f"recipe {recipe.name} distils: name the teachers with --teacher")
        if not train or not all(validation.values()):
            raise TrainingError("there are no rows to train on, or none to validate on")
        torch.manual_seed(seed)
        self.recipe, self.out, self.seed, self.device = recipe, out, seed, device
        self.train, self.validation, self.resplit = list(train), validation, resplit
        self._progress = progress
        # At the lengths of messages, sdpa is the slower one on a CPU.
        attention = "eager" if device.name == "cpu" else "sdpa"
        self.model, self.hf_tokenizer = network_of(recipe, attention)
        self.tokenizer = Tokenizer(
            self.hf_tokenizer.backend_tokenizer,
            max_tokens=recipe.max_tokens,
            overlap_tokens=recipe.max_tokens // 4,
        )
        self.model.to(device.name)
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        # Other networks than DistilBERT may move something to the device in a step, which no graph can hold.
        can_be_graphed = device.is_cuda and self.model.config.model_type == "distilbert"
        self._graphs_on = device.name if can_be_graphed else None
        self.optimizer = optimizer_of(self.model, recipe, self._graphs_on)
        self.steps_an_epoch = math.ceil(len(self._drawn(0)) / recipe.batch_size)
        self.steps = self.steps_an_epoch * recipe.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate_factor(step, self.steps, recipe.warmup)
        )
        weights = class_weights(self.train, recipe)
        self._class_weights = None if weights is None else weights.to(device.name)
        self._label_ids = torch.tensor(
            [recipe.labels.index(row.label) for row in self.train], device=device.name
        )
        own = targets(self.train, recipe.labels, recipe.unranked)
        heard = teacher if recipe.distil else None
        shares = np.where(heard.alone[:, None], heard.shares, own.shares) if heard else own.shares
        parts = (shares, own.present, own.known, own.distress, own.grade_weight)
        self._own = tuple(self._placed(part) for part in parts)
        said = _said(heard, own, recipe) if heard else ()
        self._soft = tuple(self._placed(part) for part in said)
        self._take_step: Step = self._train_step
        if self._graphs_on:
            self._take_step = GraphedStep(self._train_step, recipe.batch_size, device.name)
        self._step = 0
        self._made_of = {
            "another recipe": json.dumps(recipe.as_dict()),
            "another seed": str(seed),
            "other data": _digest(
                repr(row).encode() for rows in (train, *validation.values()) for row in rows
            ),
            "other teachers": _digest(part.tobytes() for part in said),
        }
        self.log = RunLog(out)

    def run(self, *, resume: bool = False) -> FitResult:
        """Train until the last epoch or until validation no longer improves; the best epoch is what stays.

        Raises ``TrainingError`` where the folder cannot be written to, there is nothing to resume, or a loss
        is no number any more.
        """
        started = time.monotonic()
        writable(self.out)
        first = self._begin(resume)
        seconds_before = self.log.seconds
        for epoch in range(first, self.recipe.epochs):
            if self.log.history and self.log.epochs_since_best >= self.recipe.patience:
                break
            mean_loss = self._train_epoch(epoch)
            model = self.average.model if self.average else self.model
            scores = {
                name: validation_score(self._predict(model, rows), rows, self.recipe.labels)
                for name, rows in self.validation.items()
            }
            for loss_of_rows in (mean_loss, *(score["nll"] for score in scores.values())):
                require_finite(loss_of_rows)
            if not self.log.history:
                with written(self.out):
                    forget_run(self.out)
            seconds = seconds_before + time.monotonic() - started
            improved = self.log.add(
                epoch + 1, mean_loss, float(self.schedule.get_last_lr()[-1]), scores, seconds
            )
            if improved:
                self._save(model)
            self._checkpoint(epoch + 1)
        self._write_run_file()
        (self.out / CHECKPOINT).unlink(missing_ok=True)
        return FitResult(self.out, self.log.best_score, self.log.best_epoch, self.log.seconds)

    def _begin(self, resume: bool) -> int:
        """The number of epochs that are done already.

        Where none are, the checkpoint of an earlier run goes, which nobody is to take for this one's. The
        rest of it stays until this one has something to put in its place.
        """
        if resume:
            require_resumable(self.out)
            if (self.out / CHECKPOINT).is_file():
                return self._restore()
        (self.out / CHECKPOINT).unlink(missing_ok=True)
        return 0

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
        import torch

        rng = random.Random(f"epoch {self.seed} {epoch}")
        drawn = self._drawn(epoch)
        rows = [self.train[i] for i in drawn]
        if self.recipe.augmentation is not None:
            rows = [augment(row, self.recipe.augmentation, rng) for row in rows]
        ids = encode(self.tokenizer, rows)
        self.model.train()
        total = torch.zeros((), device=self.device.name)
        for batch in training_batches(ids, self.recipe.batch_size, rng, self._pad_id):
            indices = torch.tensor([drawn[row] for row in batch.rows])
            step_loss = self._take_step(batch.input_ids, batch.attention_mask, indices)
            total += step_loss
            self.schedule.step()
            self._step += 1
            if self.average is not None:
                self.average.follow(self._step)
            if self._step % SHOWN_EVERY == 0 or self._step == self.steps:
                require_finite(float(step_loss))
                if self._progress is not None:
                    self._progress(self._step, self.steps, float(step_loss))
        return float(total) / self.steps_an_epoch

    def _train_step(self, input_ids: "Tensor", attention_mask: "Tensor", indices: "Tensor") -> "Tensor":
        """Forward, backward and the optimizer's step on one batch; its loss."""
        import torch

        input_ids, attention_mask, indices = (
            part.to(self.device.name) for part in (input_ids, attention_mask, indices)
        )
        # A graph finds gradients in their place.
        self.optimizer.zero_grad(set_to_none=self._graphs_on is None)
        times = 2 if self.recipe.r_drop else 1
        passes = [forward(self.model, input_ids, attention_mask, self.device) for _ in range(times)]
        step_loss = loss(passes, self._wanted(indices), self.recipe, self._class_weights)
        step_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        return step_loss.detach()

    def _wanted(self, indices: "Tensor") -> Wanted:
        """What these training rows ask for, on the device."""
        shares, *own = (part.index_select(0, indices) for part in self._own)
        soft = [part.index_select(0, indices) for part in self._soft]
        if soft:
            soft[0] = soft[0] * shares.sum(dim=1, keepdim=True)
        return Wanted(self._label_ids.index_select(0, indices), shares, *own, *soft)

    def _placed(self, numbers: Floats) -> "Tensor":
        """A table of a number or more a training row, on the device."""
        import torch

        return torch.from_numpy(numbers).float().to(self.device.name)

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
        if self.recipe.beside:
            plain = copy.deepcopy(model)
            narrow_for_saving(plain)
        with written(self.out):
            forget_calibration(self.out)
            plain.save_pretrained(self.out)
            self.hf_tokenizer.save_pretrained(self.out)

    def _checkpoint(self, epochs_done: int) -> None:
        """Everything that the next epoch depends on."""
        import torch

        state = {
            "epochs_done": epochs_done,
            "step": self._step,
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device.name) if self.device.is_cuda else None,
            "made_of": self._made_of,
            "log": self.log.state(),
        }
        save_checkpoint(self.out, state)

    def _restore(self) -> int:
        """Go back to the last checkpoint; the number of epochs that are done."""
        import torch

        state = load_checkpoint(self.out, self.device.name)
        begun = state.get("made_of", {})
        for other, made_of in self._made_of.items():
            if begun.get(other) != made_of:
                raise TrainingError(
                    f"{self.out} was begun with {other}: name another --out, or begin anew with --overwrite "
                    "instead of --resume"
                )
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch_rng"].cpu())
        if self.device.is_cuda and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device.name)
        self._step = state["step"]
        self.log.restore(state["log"])
        return int(state["epochs_done"])

    def _write_run_file(self) -> None:
        run = {
            "command": command_line(),
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
            "resplit": asdict(self.resplit) if self.resplit else None,
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
        write_facts(self.out, run)


def _said(teacher: SoftTargets, own: Targets, recipe: Recipe) -> tuple[Floats, Floats, Floats]:
    """What the teachers say of softmax, sigmoids and distress; nothing of neutral in unranked rows."""
    present = teacher.present.copy()
    if recipe.unranked:
        neutral = recipe.labels.index(NEUTRAL)
        present[own.known[:, neutral] == 0, neutral] = np.nan
    return teacher.shares, present, teacher.distress


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def peak_bytes() -> int:
    """The most memory that this process has held at a time."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux kibibytes


def _by_source(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for source in sorted({row.source for row in rows}):
        yield source, [row for row in rows if row.source == source]
