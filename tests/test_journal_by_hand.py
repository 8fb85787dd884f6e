"""docs/journal.md: what it tells an investigator to type does what it says, on a real journal."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.offsets.recorded import record

PAGE = Path(__file__).parent.parent / "docs" / "journal.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def typed(block: str, journal: Path, folder: Path) -> list[str]:
    """Return what a block of the page prints, typed in `folder`."""
    missing = [program for program in ("bash", "jq", "openssl", "sha256sum") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the page is for people who have {', '.join(missing)}")
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "JOURNAL": str(journal)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).splitlines()


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    record(tmp_path / "made", hours=2)
    folder = tmp_path / "read"
    folder.mkdir()
    whole, last_word, officers, signature = (typed(block, tmp_path / "made" / "eucom", folder) for block in BLOCKS)
    assert whole == ["every record gives its hash", "every record follows from the one before"]
    assert len(last_word) == 1
    assert '"seq":' in last_word[0]
    assert any("OfficerRaisedAlert  watch-1" in line for line in officers)
    assert signature[0] == "Signature Verified Successfully"
    assert '"type":"acknowledgement"' in signature[1]


def test_the_page_shows_what_was_changed_and_what_is_missing(tmp_path: Path) -> None:
    record(tmp_path / "made", hours=1)
    journal = tmp_path / "made" / "eucom"
    first = min(journal.glob("*.jsonl"))
    whole = first.read_bytes()
    first.write_bytes(whole.replace(b'"officer":"watch-1"', b'"officer":"watch-2"', 1))
    assert "every record gives its hash" not in typed(BLOCKS[0], journal, tmp_path)
    lines = whole.splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:3] + lines[4:]))
    found = typed(BLOCKS[0], journal, tmp_path)
    assert "every record gives its hash" in found
    assert "every record follows from the one before" not in found
