"""`python -m tests.support.day_account`: writes the accounts of the simulated day that `docs/timeline.md` shows.

`render` returns one of them, for the test that says when they are out of date.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from endpoints.journal.reader import JournalReader
from endpoints.texts.i18n import translator
from endpoints.texts.timeline_text import timeline_lines
from protocol.record.evidence import evidence_of
from protocol.record.timeline import Account, account
from scenario.files import load, packaged
from scenario.narrator import Narrator
from scenario.rehearsal import Rehearsal
from scenario.simulation.simulate import quiet

FOLDER = Path(__file__).parents[2] / "docs" / "timeline"
LANGUAGES = ("en", "ru")
WIDTH = 80
_VERSIONS = re.compile(r"deconfliction-link \S+, tzdata \S+")


def the_day() -> Account:
    """Return the account of the day that `deconflict demo --speed max` plays."""
    with tempfile.TemporaryDirectory() as folder:
        story = load(packaged("one-day"))
        rehearsal = Rehearsal(story, Narrator(story, Console(quiet=True), translator("en")))
        rehearsal.run()
        journals: Mapping[str, Path] = rehearsal.write(Path(folder), story.link.id)
        return account([evidence_of(JournalReader(str(path)).whole_records()) for path in journals.values()])


def render(found: Account, language: str) -> str:
    """Return the text of an account as on a terminal of 80 columns, without what is said of the files."""
    text = "\n".join(timeline_lines(found, [], [], translator(language), WIDTH)) + "\n"
    return _VERSIONS.sub("deconfliction-link N, tzdata N", text)


if __name__ == "__main__":
    quiet()
    made = the_day()
    FOLDER.mkdir(exist_ok=True)
    for each in LANGUAGES:
        (FOLDER / f"one-day.{each}.txt").write_text(render(made, each))
