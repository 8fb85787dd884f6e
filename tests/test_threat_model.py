"""Every attack in docs/threat-model.md names a test, and every test named there exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "threat-model.md"
_NAMED = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`")


def named() -> list[tuple[str, str]]:
    """Return the file and test of each citation."""
    return citations_in(DOCUMENT)


def citations_in(document: Path) -> list[tuple[str, str]]:
    """Return the file and test of each citation in a document; `::test` alone refers to the file cited before it."""
    found, file = [], ""
    for match in _NAMED.finditer(document.read_text()):
        file = match[1] or file
        if match[1] or match[2]:
            found.append((file, match[2] or ""))
    return found


def test_every_test_that_is_named_exists() -> None:
    missing = [
        f"{file}::{test}"
        for file, test in named()
        if not (ROOT / file).is_file()
        or not re.search(rf"^(?:async )?def {test}\b", (ROOT / file).read_text(), re.MULTILINE)
        if test or not (ROOT / file).is_file()
    ]
    assert not missing
    assert len(named()) > 50


def test_every_attack_names_a_test() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ") and "| --- |" not in line]
    attacks = [row for row in rows if not row.startswith("| attack |")]
    assert len(attacks) > 30
    assert not [row for row in attacks if not re.search(r"::test_", row.split("|")[3])]
