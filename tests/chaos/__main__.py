"""``make chaos FAULTS=N SEED=S BROKERS=1``: a table of faults, and exit code 1 where a promise was broken."""

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.chaos.run import Result, Suffered, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    given = parser.parse_args()
    logging.disable()  # brokers are down on purpose: what clients of this process say of it is no news
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {given.seed}, logs in {folder}", flush=True)
    result = asyncio.run(run(given.faults, given.seed, given.brokers, folder, _say))
    print(table(result))
    for violation in result.violations[:40]:
        print(f"  {violation}")
    if result.violations:
        print(f"{len(result.violations)} violations; repeat with {command(result)}; logs in {folder}")
    return int(bool(result.violations))


def command(result: Result) -> str:
    return f"make chaos FAULTS={len(result.suffered)} SEED={result.seed} BROKERS={result.brokers}"


def table(result: Result) -> str:
    """Recovery by kind of fault; lost and doubled of the whole run: topics do not tell by which fault."""
    by_kind: dict[str, list[Suffered]] = defaultdict(list)
    for one in result.suffered:
        by_kind[one.kind].append(one)
    lines = [
        f"| {'fault':<22} | times | no progress | p50 s | p90 s | p99 s |",
        f"|{'-' * 24}|------:|------------:|------:|------:|------:|",
        *(_row(kind, found) for kind, found in sorted(by_kind.items())),
        _row("all", result.suffered),
        "",
        f"{result.proof.sent} messages: {result.proof.lost} lost, {result.proof.doubled} doubled; "
        f"{result.proof.alert_records} alert records; programs ended by themselves: {len(result.ended)}"
        + (f" ({', '.join(result.ended)})" if result.ended else ""),
    ]
    return "\n".join(lines)


def _row(kind: str, found: Iterable[Suffered]) -> str:
    times = [one.recovery_s for one in found]
    moved = [time for time in times if time is not None]
    p50, p90, p99 = np.percentile(moved, [50, 90, 99]) if moved else (float("nan"),) * 3
    still = len(times) - len(moved)
    return f"| {kind:<22} | {len(times):5d} | {still:11d} | {p50:5.1f} | {p90:5.1f} | {p99:5.1f} |"


def _say(one: Suffered) -> None:
    after = "never" if one.recovery_s is None else f"{one.recovery_s:.1f} s"
    print(f"{one.kind}: moving again after {after}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
