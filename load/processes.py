"""Reads how much processor time and memory processes use. Both move far less with a noisy machine than latency."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SECOND_US = 1_000_000
_MICROSECOND_NS = 1_000
_FIELDS_BEFORE = 11
"""Fields of `/proc/PID/stat` between the name of the program and `utime`."""


def used_us(pids: Mapping[str, int]) -> dict[str, int]:
    """Return the processor time of each process so far, in microseconds; a process that can't be read is left out."""
    found = {}
    for name, pid in pids.items():
        try:
            found[name] = _used_us(pid)
        except (OSError, ValueError, IndexError):
            continue
    return found


def _used_us(pid: int) -> int:
    """Return a process's processor time. The scheduler counts nanoseconds, the accounting clock ticks of 10 ms."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) // _MICROSECOND_NS
    except (OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[_FIELDS_BEFORE]) + int(fields[_FIELDS_BEFORE + 1])
        return ticks * _SECOND_US // os.sysconf("SC_CLK_TCK")


def between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the processor time that each process has used between two readings."""
    return {name: after[name] - before[name] for name in before if name in after}


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is in RAM (MiB), 0 if that can't be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1_024 for line in lines if line.startswith("VmRSS:")), 0.0)
