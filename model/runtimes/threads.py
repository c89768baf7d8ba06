"""How many threads a forward pass may use: what the process may, and not what the machine has.

onnxruntime takes one thread a core of the machine. In a container that may use two of 64 cores, 64 threads
then take turns on two, and the kernel stops them all for the rest of each period.
"""

import math
import os
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores by the process's affinity and the quota of its cgroup (v2, else v1), at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.ceil(_quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Cores that the cgroup's bandwidth allows; a large number where nothing bounds it."""
    for quota_file, period_file in (
        ("cpu.max", "cpu.max"),
        ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"),
    ):
        try:
            quota = (cgroup / quota_file).read_text(encoding="ascii").split()[0]
            period = (cgroup / period_file).read_text(encoding="ascii").split()[-1]
            if quota not in {"max", "-1"}:
                return int(quota) / int(period)
        except (OSError, ValueError, IndexError, ZeroDivisionError):  # no Linux, or another version
            continue
    return float(1 << 16)
