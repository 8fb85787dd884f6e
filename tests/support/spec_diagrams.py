"""Draws the state diagrams of SPEC.md from the tables in the code: `python -m tests.support.spec_diagrams`."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from protocol.core.alerts import ALERT
from protocol.core.watch_state import SLOT, TEST

SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"

State = TypeVar("State", bound=StrEnum)


def state_diagram(table: Mapping[tuple[State, str], State]) -> str:
    """Return a table as a mermaid state diagram: it begins with the first state, one arrow for each pair."""
    states = list(type(next(iter(table.values()))))
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, happening), successor in table.items():
        arrows.setdefault((state, successor), []).append(happening)
    lines = [f"    [*] --> {states[0]}"]
    lines += [
        f"    {state} --> {successor}: {', '.join(arrows[state, successor])}"
        for state in states
        for successor in states
        if (state, successor) in arrows
    ]
    left = {state for state, _ in arrows}
    lines += [f"    {state} --> [*]" for state in states if state not in left]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


DIAGRAMS = {"slot": state_diagram(SLOT), "test": state_diagram(TEST), "alert": state_diagram(ALERT)}
"""By their names in SPEC.md."""


def renewed(text: str) -> str:
    """Return the text of SPEC.md with every diagram drawn anew between its marks."""

    def drawn(mark: re.Match[str]) -> str:
        return f"{mark[1]}{DIAGRAMS[mark[2]]}\n<!-- end -->"

    return re.sub(r"(<!-- diagram: (\w+) -->\n).*?<!-- end -->", drawn, text, flags=re.DOTALL)


if __name__ == "__main__":
    SPEC.write_text(renewed(SPEC.read_text()))
