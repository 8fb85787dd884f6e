"""The guide to the alarms: the console and the runbook say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from endpoints.texts.alarm_guide import GUIDES, code_parts
from protocol.core.alarms import AlarmCode

RUNBOOK = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")


def entry(code: str, part: str) -> str:
    """Return what the runbook says of an alarm, on one line, without links and emphasis."""
    found = re.search(rf"### `{code}`\n(?:.*\n)*?- \*\*{part}:\*\* ((?:.*\n)*?)(?=- \*\*|\n)", RUNBOOK)
    assert found, f"docs/operations.md lacks {part} of {code}"
    text = re.sub(r" \(\[[^\]]*\]\([^)]*\)\)|\*\*", "", " ".join(found[1].split()))
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


@pytest.mark.parametrize("code", list(AlarmCode))
def test_the_runbook_says_the_same(code: AlarmCode) -> None:
    assert GUIDES[code].meaning == entry(code, "Meaning")
    assert GUIDES[code].officer == entry(code, "Officer")


def test_commands_stand_between_backticks() -> None:
    assert code_parts("read it (`show REF`) now") == [("read it (", False), ("show REF", True), (") now", False)]
    for guide in GUIDES.values():
        assert all(text.count("`") % 2 == 0 for text in guide)
