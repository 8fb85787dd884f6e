"""The scripts in `tools/` that read each other's output agree on it."""

import re
import subprocess
from pathlib import Path

TOOLS = Path(__file__).parent.parent / "tools"


def test_fresh_machines_finds_the_packages_that_setup_asks_for() -> None:
    (advice,) = re.findall(r'by_hand="(.+)\$\{missing\[\*\]\}"', (TOOLS / "setup").read_text())
    (expression,) = re.findall(r"sed -n '(.+)'", (TOOLS / "fresh-machines").read_text())
    printed = f"setup: this user may not install packages; {advice}python3-venv mosquitto\n"

    found = subprocess.run(["sed", "-n", expression], input=printed, capture_output=True, text=True, check=True)

    assert found.stdout == "python3-venv mosquitto\n"
