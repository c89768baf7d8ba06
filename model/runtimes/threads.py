"""How many threads a forward pass may use: what the process may, and not what the machine has.

onnxruntime takes one thread a core of the machine. In a container that may use two of 64 cores, 64 threads
then take turns on two, and the kernel stops them all for the rest of each period.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")

UNBOUNDED: Final = float(1 << 16)


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUPS) -> int:
    """Cores by the process's affinity and the quotas of its cgroup and those above it, at least 1.

    cgroup v2, else v1; in a container its own cgroup is the root that it sees, in a systemd unit with
    ``CPUQuota`` it is not.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(map(_quota, _folders(cgroup, own)), default=UNBOUNDED)
    return max(1, min(affinity, math.ceil(quota)))


def _folders(cgroup: Path, own: Path) -> Iterator[Path]:
    """Where the quotas that hold for this process are written, from its own cgroup up to the root."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    for line in [*lines, "0::/", ":cpu:/"]:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroup / "cpu" if controllers else cgroup
        inside = PurePosixPath(path.lstrip("/"))
        yield from (root / part for part in (inside, *inside.parents))


def _quota(folder: Path) -> float:
    """Cores that the bandwidth of one cgroup allows; ``UNBOUNDED`` where nothing bounds it."""
    for quota_file, period_file in (("cpu.max", "cpu.max"), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota = (folder / quota_file).read_text(encoding="ascii").split()[0]
            period = (folder / period_file).read_text(encoding="ascii").split()[-1]
            if quota not in {"max", "-1"}:
                return int(quota) / int(period)
        except (OSError, ValueError, IndexError, ZeroDivisionError):  # not there, or of another version
            continue
    return UNBOUNDED
