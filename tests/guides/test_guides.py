"""Follows the written guides line by line: each machine is a container, which shares only what the guides hand over.

`python -m tests.guides.run` follows single guides. `GUIDES_RECORD=FOLDER` keeps what was seen, with the journals.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guides.machines import Image, Machines
from tests.guides.walk import Walk
from tests.support.engine import require_engine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
LIFE = ("enrolment", "certificates", "keys", "links", "officers", "moving")
"""What happens to a link in its life, in this order; each guide begins where the one before has ended."""
CHANGES = (("enrolment", "authorities"), ("own-authorities",))
WALKS = ((*LIFE, "restoring"), *CHANGES)
"""The guides of each test, in the order in which it follows them."""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    require_engine()
    with Image() as built:
        yield built


@pytest.fixture
def machines(image: Image) -> Iterator[Machines]:
    with Machines(image) as made:
        yield made


def record(folder: Path, name: str) -> Callable[[str], None]:
    """Return what appends lines to the record of a walk."""
    path = folder / f"{name}.txt"

    def tell(line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line.rstrip("\n") + "\n")

    return tell


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the record and the journals go."""
    kept = os.environ.get("GUIDES_RECORD")
    chosen = Path(kept) if kept else tmp_path
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def deconflict(*arguments: object, exit_code: int = 0) -> str:
    """Run `deconflict` here, as an investigator would, and return what it prints."""
    command = Path(sys.executable).with_name("deconflict")
    done = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == exit_code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copied(machines: Machines, machine: str, path: str, folder: Path) -> Path:
    """Copy a folder of a machine to this one; return its place."""
    for name, (_, content) in machines.files(machine, path).items():
        target = folder / machine / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder / machine / path


def follow(machines: Machines, tell: Callable[[str], None], *guides: str) -> None:
    """Follow guides, one after the other."""
    walk = Walk(machines, tell)
    for guide in guides:
        tell(f"\n# --- {guide}.md\n")
        walk.through(GUIDES / f"{guide}.md")
    assert machines.strangers_keys() == []


def test_a_link_lives(machines: Machines, folder: Path) -> None:
    tell = record(folder, "life")
    follow(machines, tell, *LIFE)
    journals = {
        machine: copied(machines, machine, f"{machine.partition('-')[0]}/journal", folder) / "eucom-ndmc"
        for machine in ("eucom", "ndmc-new", "watch")
    }
    # the present link file and those that were agreed to before
    copied(machines, "eucom", "link.toml", folder)
    copied(machines, "eucom", "former", folder)
    files = [folder / "eucom" / "link.toml", *sorted((folder / "eucom" / "former").iterdir())]
    links = [word for file in files for word in ("--link-file", str(file))]
    for side, journal in journals.items():
        tell(f"\n# --- the journal of {side}\n")
        tell(deconflict("log", "verify", journal, *links))
        tell(deconflict("replay", journal))
    tell("\n# --- reconciled\n")
    tell(deconflict("reconcile", journals["eucom"], journals["ndmc-new"], "--watch", journals["watch"], *links))
    (folder / "account.txt").write_text(deconflict("timeline", *journals.values(), *links), "utf-8")
    deconflict("timeline", *journals.values(), *links, "--html", folder / "account.html")
    # what a backup does not have is lost to a restored journal: so only now
    follow(machines, record(folder, "restoring"), "restoring")


@pytest.mark.parametrize("guides", CHANGES, ids=lambda guides: guides[-1])
def test_authorities_change(machines: Machines, folder: Path, guides: tuple[str, ...]) -> None:
    follow(machines, record(folder, guides[-1]), *guides)
