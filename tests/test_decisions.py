"""Decision records follow the template, fit on a screen and are listed in the index."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
SCREEN_LINES = 60


def sections(path: Path) -> list[str]:
    return re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem[:4])
def test_records_have_the_sections_of_the_template_and_fit_on_a_screen(path: Path) -> None:
    text = path.read_text()
    assert sections(path) == sections(FOLDER / "template.md")
    assert not re.search(r"^## .+\n+(?:## |\Z)", text, re.MULTILINE), "an empty section"
    assert re.search(
        r"^## Status\n\n(?:Proposed|Accepted|Replaced by \[\d{4}\]\(.+\)|Accepted; replaces \[\d{4}\]\(.+\))\.$",
        text,
        re.MULTILINE,
    )
    assert len(text.splitlines()) <= SCREEN_LINES


def test_the_index_lists_each_record_once_with_its_title() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\((.+)\) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    titles = [path.read_text().splitlines()[0].removeprefix("# ") for path in RECORDS]
    assert [f"{number}. {title}" for number, _, title in listed] == titles
    assert [file for _, file, _ in listed] == [path.name for path in RECORDS]


def test_record_numbers_are_unique_and_links_resolve() -> None:
    assert len({path.name[:4] for path in RECORDS}) == len(RECORDS) > 0
    linked = [target for path in RECORDS for target in re.findall(r"\]\(([^)#:]+)", path.read_text())]
    assert not [target for target in linked if not (FOLDER / target).exists()]
