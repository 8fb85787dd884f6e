"""Progress is shown on a terminal, after a second, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.terminal import Terminal

PROGRAM = """\
import sys, time
from endpoints.cli.progress import progress
with progress("archiving [red]", 4) as advance:
    began = time.monotonic()
    advance(1)
    while time.monotonic() - began < float(sys.argv[1]):
        time.sleep(0.01)
    advance(2)
print("done")
"""


@pytest.mark.parametrize("long", [True, False])
def test_it_is_shown_on_a_terminal_once_a_command_takes_longer(long: bool) -> None:
    terminal = Terminal("1.1" if long else "0", command=[sys.executable, "-c", PROGRAM])
    assert terminal.end() == 0
    assert ("archiving [red]" in terminal.text and "75%" in terminal.text) == long
    # what it has shown is gone at the end
    assert terminal.lines[-1].endswith("done")


def test_it_is_not_shown_in_a_pipe() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM, "1.1"], capture_output=True, text=True, timeout=60, check=True)
    assert (run.stdout, run.stderr) == ("done\n", "")
