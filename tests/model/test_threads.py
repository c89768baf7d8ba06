"""A forward pass takes the cores that the process may use."""

import os
from pathlib import Path

import pytest

from model.runtimes.threads import usable_cores


@pytest.fixture(autouse=True)
def sixty_four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000\n", 64), ("200000 100000\n", 2), ("250000 100000\n", 3), ("10000 100000\n", 1), ("", 64)],
)
def test_the_quota_of_a_container_bounds_them(tmp_path: Path, content: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path) == cores


def test_an_older_cgroup_is_understood(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 2


def test_affinity_bounds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4, 5}, raising=False)
    assert usable_cores(tmp_path) == 3


def test_the_quota_of_the_slice_that_a_unit_stands_in_bounds_them(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/system.slice/annotator.service\n")
    unit = tmp_path / "system.slice" / "annotator.service"
    unit.mkdir(parents=True)
    (unit / "cpu.max").write_text("max 100000\n")
    (unit.parent / "cpu.max").write_text("300000 100000\n")
    assert usable_cores(tmp_path, own) == 3


def test_an_older_cgroup_that_is_not_the_root_bounds_them(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("7:memory:/other\n4:cpu,cpuacct:/a/b\n")
    folder = tmp_path / "cpu" / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("300000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path, own) == 3


def test_without_linux_affinity_alone_bounds_them(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nowhere", tmp_path / "neither") == 64
