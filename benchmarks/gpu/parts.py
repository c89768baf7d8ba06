"""The parts by name. Each loads, says so, waits for its turn, measures, and reports line by line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

PartFunction = Callable[[argparse.Namespace], None]


def _network(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import network

    network.main(arguments)


def _compiled(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import network

    network.compiled(arguments)


def _profile(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import network

    network.profiled(arguments)


def _threads(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import bare

    bare.threads(arguments)


def _worker(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import bare

    bare.worker(arguments)


def _peer(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu import peer

    peer.main(arguments)


PARTS: Final[dict[str, PartFunction]] = {
    "network": _network,
    "threads": _threads,
    "workers": _worker,
    "peer": _peer,
    "profile": _profile,
    "compiled": _compiled,
}
