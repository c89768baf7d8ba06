"""What people would use instead: ``transformers.pipeline`` on the same GPU, weights and texts."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

from benchmarks.gpu.measuring import kept, rates, report, rounds, texts, turn
from model.folder import WEIGHTS

SETTINGS: Final = (
    ("float32", 32, 2_048),
    ("float32", 512, 8_192),
    ("bfloat16", 512, 8_192),
    ("float16", 32, 2_048),
)
"""Precision, batch and texts of a round."""


def main(arguments: argparse.Namespace) -> None:
    from transformers import logging, pipeline

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found = texts(arguments.texts)
    pipelines: dict[str, Any] = {
        dtype: pipeline(
            "text-classification", model=str(WEIGHTS), device=arguments.device, dtype=dtype, top_k=None
        )
        for dtype in dict.fromkeys(dtype for dtype, _, _ in SETTINGS)
    }
    for dtype in pipelines:
        pipelines[dtype](found[:64], batch_size=32)
    seconds = turn()
    end = time.monotonic() + seconds
    for dtype, batch, count in SETTINGS:
        name = f"pipeline {dtype}, batch {batch}"
        if time.monotonic() > end - arguments.round:
            report(**{name: "no time left"})
            continue
        with kept(name):
            some = found[:count]
            run = pipelines[dtype]
            taken = rounds(lambda: run(some, batch_size=batch), arguments.round, lambda: None)  # noqa: B023
            report(**{name: rates(len(some), taken)})
