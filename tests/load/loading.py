"""Runs `deconflict load` as a process, and looks for what it leaves behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.station import ROOT

WITHIN_S = 100


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "endpoints.cli.main", "load", "--folder", str(folder), *options],
        cwd=ROOT,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nothing_left(folder: Path) -> None:
    """Check that no process works in `folder`, and that nothing lies there."""
    assert not running_in(folder)
    assert list(folder.iterdir()) == []


def running_in(folder: Path) -> list[Path]:
    """Return the processes whose command names a file in `folder`, or that work there."""
    return [each for each in Path("/proc").iterdir() if each.name.isdigit() and str(folder) in _traces(each)]


def until(wanted: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WITHIN_S
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sender_journal(work: Path) -> bytes:
    """Return what is in the first segment of the sender's journal, as far as there is one."""
    return b"".join(path.read_bytes() for path in work.glob("dc-load-*/d/eucom/journal/*/*.jsonl"))


def _traces(process: Path) -> str:
    try:
        return f"{(process / 'cwd').readlink()} {(process / 'cmdline').read_bytes().decode(errors='replace')}"
    except OSError:
        return ""
