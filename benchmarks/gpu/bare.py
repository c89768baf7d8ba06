"""The bare classifier: texts in, labels out, tokenizing and deciding while the GPU works."""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from benchmarks.gpu.measuring import batches, kept, rates, report, rounds, texts, turn
from model import EmotionClassifier
from model.contract import Emotion, Encoded

TOKENIZERS: Final = (8, 4, 16, 2, 1)

GARBAGE_THRESHOLD: Final = 50_000
"""As in the annotator: torch has brought in half a million objects, and by default Python looks through all
of them for garbage again and again while nothing but labels is made."""


def label_all(
    classifier: EmotionClassifier, found: Sequence[list[str]], pool: ThreadPoolExecutor, ahead: int
) -> int:
    """Take batches of texts through the three steps, at most ``ahead`` of them tokenized before their turn;
    the number of labels."""
    labelled = 0
    waiting: deque[Future[list[Encoded]]] = deque()
    coming = iter(found)
    with ThreadPoolExecutor(1) as decider:
        decided: deque[Future[list[Emotion]]] = deque()
        while True:
            while len(waiting) < ahead and (batch := next(coming, None)) is not None:
                waiting.append(pool.submit(classifier.tokenize, batch))
            if not waiting:
                break
            encoded = waiting.popleft().result()
            decided.append(decider.submit(classifier.decide, encoded, classifier.forward(encoded)))
            while len(decided) > 2:
                labelled += len(decided.popleft().result())
        labelled += sum(len(emotions.result()) for emotions in decided)
    return labelled


def threads(arguments: argparse.Namespace) -> None:
    """One process: so many threads tokenize, one forwards, one decides."""
    found = batches(texts(arguments.texts))
    classifier = EmotionClassifier.load(device=arguments.device, remember=0)
    classifier.warm_up()
    classifier.classify(found[0])
    seconds = turn()
    end = time.monotonic() + seconds
    report(
        runs_on=[
            classifier.info.device,
            classifier.info.precision,
            getattr(classifier._runtime, "layout", ""),
        ]
    )
    with kept("8 tokenizers, Python's own garbage threshold"), ThreadPoolExecutor(8) as pool:
        taken = rounds(lambda: label_all(classifier, found, pool, 9), arguments.round, _nothing)
        report(**{"8 tokenizers, Python's own garbage threshold": rates(arguments.texts, taken)})
    gc.set_threshold(GARBAGE_THRESHOLD)
    with kept("where the time goes"):
        report(**{"where the time goes": _stages(classifier, found)})
    for count in TOKENIZERS:
        if time.monotonic() > end - arguments.round:
            report(**{f"{count} tokenizers": "no time left"})
            continue
        with kept(f"{count} tokenizers"), ThreadPoolExecutor(count) as pool:
            cpu = time.process_time()
            taken = rounds(lambda: label_all(classifier, found, pool, count + 1), arguments.round, _nothing)  # noqa: B023
            cpu_us = (time.process_time() - cpu) / (len(taken) + 1) / arguments.texts * 1e6
            report(**{f"{count} tokenizers": rates(arguments.texts, taken) | {"cpu_us": round(cpu_us, 2)}})
    with kept("tokenizer's own threads"), ThreadPoolExecutor(1) as pool:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        taken = rounds(lambda: label_all(classifier, found, pool, 3), arguments.round, _nothing)
        report(**{"tokenizer's own threads": rates(arguments.texts, taken)})


def _stages(classifier: EmotionClassifier, found: Sequence[list[str]]) -> dict[str, float]:
    """Microseconds a message of each step, one after the other on one thread, and of the runtime in it."""
    spent = dict.fromkeys(("tokenize", "forward", "decide", "runtime"), 0.0)
    for batch in found[:5]:
        began = time.perf_counter()
        encoded = classifier.tokenize(batch)
        tokenized = time.perf_counter()
        logits = classifier.forward(encoded)
        forwarded = time.perf_counter()
        classifier.decide(encoded, logits)
        decided = time.perf_counter()
        windows = [window for text in encoded for window in text.windows]
        again = time.perf_counter()
        classifier._runtime.forward(windows)
        spent["runtime"] += time.perf_counter() - again
        spent["tokenize"] += tokenized - began
        spent["forward"] += forwarded - tokenized
        spent["decide"] += decided - forwarded
    count = sum(map(len, found[:5]))
    return {step: round(seconds / count * 1e6, 2) for step, seconds in spent.items()}


def worker(arguments: argparse.Namespace) -> None:
    """One of several processes on the same GPU: two threads tokenize, one forwards, one decides."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    found = batches(texts(arguments.texts))
    classifier = EmotionClassifier.load(device=arguments.device, remember=0)
    classifier.warm_up()
    classifier.classify(found[0])
    with ThreadPoolExecutor(2) as pool:
        while True:
            seconds = turn()
            began, labelled = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                labelled += label_all(classifier, found[:4], pool, 3)
            report(messages_per_s=labelled / (time.perf_counter() - began))


def _nothing() -> None:
    """Labels are on the host: there is nothing to wait for."""
