"""Writes the table of metrics in docs/operations.md from the code: `python -m tests.support.metrics_table`."""

from pathlib import Path

from endpoints.metrics.families import FAMILIES, Family

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- end -->"


def table() -> str:
    """Return the table: a row for each family."""
    rows = [f"| `{family.name}` | {family.type} | {_labels(family)} | {family.help} |" for family in FAMILIES]
    return "\n".join(["| metric | type | labels | says |", "| --- | --- | --- | --- |", *rows, ""])


def _labels(family: Family) -> str:
    return ", ".join(f"`{label}`" for label in family.labels)


def renewed(text: str) -> str:
    """Return the text of the page with the table written anew between its marks."""
    before, mark, rest = text.partition(BEGIN)
    assert mark, f"{PAGE} has no {BEGIN.strip()}"
    return before + mark + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
