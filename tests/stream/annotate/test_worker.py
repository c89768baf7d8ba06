"""The thread for long work: every caller gets an answer."""

import asyncio
import subprocess
import sys
import threading

import pytest

from stream.annotate.worker import Worker


async def test_calls_run_in_the_thread_in_the_order_they_come() -> None:
    worker = Worker("test")
    ran: list[tuple[int, str]] = []

    def job(number: int) -> int:
        ran.append((number, threading.current_thread().name))
        return number

    results = await asyncio.gather(*(worker.run(lambda number=number: job(number)) for number in range(20)))  # type: ignore[misc]
    assert results == list(range(20))
    assert ran == [(number, "test") for number in range(20)]
    worker.stop()


async def test_what_a_call_raises_reaches_its_caller_and_the_thread_goes_on() -> None:
    worker = Worker("test")

    def fail() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        await worker.run(fail)
    assert await worker.run(lambda: "still here") == "still here"
    worker.stop()


async def test_a_caller_that_has_gone_does_not_hurt_the_next_one() -> None:
    worker = Worker("test")
    started, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        go_on.wait(10)

    impatient = asyncio.create_task(worker.run(slow))
    await asyncio.to_thread(started.wait, 10)
    impatient.cancel()
    go_on.set()
    assert await worker.run(lambda: 7) == 7
    worker.stop()


_HANGING = """
import time, threading
from model.folder import SHIPPED
import numpy, onnxruntime
from stream.annotate.worker import Worker, leave
import asyncio
import subprocess
import sys

session = onnxruntime.InferenceSession(SHIPPED["en"] / "model.int8.onnx")
ids = numpy.full((8, 32), 5, dtype=numpy.int64)
feed = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}

async def main():
    worker = Worker("infer")
    task = asyncio.create_task(worker.run(lambda: [session.run(None, feed) for _ in range(1000)]))
    while not worker.busy:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()

asyncio.run(main())
leave(5)
"""


def test_a_process_whose_model_still_computes_ends_with_its_own_exit_code() -> None:
    ended = subprocess.run([sys.executable, "-c", _HANGING], timeout=60, check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (5, b"")
