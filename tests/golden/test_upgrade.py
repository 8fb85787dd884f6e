"""A start on a journal of older rules: the checkpoint that follows, and what a replay says afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import UNSET

from endpoints.failpoints import EXIT_CODE
from protocol.core.start_events import EpochOpened, KeysEnrolled
from protocol.record.fold import fold
from protocol.record.journal import Checkpoint, HeadSigned, decode, encode
from protocol.record.replay import NotRunAgain, replay
from tests.golden import cases
from tests.golden.continuing import RULES, deconflict, exchange_of, rich
from tests.support.journal_samples import empty, records
from tests.support.world import MINUTE

START = """
import sys
from pathlib import Path
from endpoints.failpoints import arm
from tests.golden.continuing import exchange_of
exchange = exchange_of(Path(sys.argv[1]))
exchange.open()
arm(sys.argv[2])
exchange.eucom.start()
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Journals of one segment each, which no checkpoint opens."""
    cases.unpack(cases.ONE_SEGMENT, tmp_path / "case")
    return tmp_path / "case"


def test_a_start_begins_with_a_checkpoint_of_the_present_rules(case: Path) -> None:
    exchange = exchange_of(case)
    exchange.open()
    before = {name: end.journal.n for name, end in exchange.ends.items()}
    exchange.start()
    exchange.run(MINUTE)
    exchange.stop()
    for name, end in exchange.ends.items():
        journal = records(end.folder)
        opening = journal[before[name]].entry
        assert isinstance(opening, Checkpoint)
        assert opening.rules == RULES
        assert (opening.signed_head is UNSET) == (name == "watch")
        # another follows the first batch
        heads = [record.n for record in journal if isinstance(record.entry, HeadSigned)]
        started = next(record.batch for record in journal if record.n > before[name] + 1)
        closed = next(record.n for record in journal if record.batch == started and record.ends_batch)
        assert heads == ([] if name == "watch" else [closed + 1])
        assert sum(isinstance(record.entry, Checkpoint) for record in journal) == 1

        result = replay(journal)
        assert result.identical
        assert result.not_run_again == [NotRunAgain(1, before[name], "1")]
        assert result.other_rules == (1, "1")
        assert result.compared >= len(journal) - before[name] - 1 - len(heads)
        assert result.core is not None

        ranges = [{"first": 1, "last": before[name], "rules": "1"}]
        run = deconflict(case, ["replay", f"journal/{name}", "--json"])
        assert (run.exit, run.document["not_run_again"]) == (0, ranges)
        for lang, line in (
            ("en", f"not run again: records 1 to {before[name]}, rules 1"),
            ("ru", f"не воспроизведены: записи с 1 по {before[name]}, правила 1"),
        ):
            assert line in rich(case, ["replay", f"journal/{name}", "--lang", lang])

    # the next start needs nothing of the kind
    exchange.open()
    exchange.start()
    exchange.run(MINUTE)
    for end in exchange.ends.values():
        end.crash()
        assert sum(isinstance(record.entry, Checkpoint) for record in records(end.folder)) == 1


def test_a_replay_that_runs_nothing_again_is_not_called_identical(case: Path) -> None:
    for lang, verdict in (("en", "NOT RUN AGAIN"), ("ru", "НЕ ВОСПРОИЗВЕДЕНО")):
        assert verdict in rich(case, ["replay", "journal/ndmc", "--lang", lang]).splitlines()[0]
    run = deconflict(case, ["replay", "journal/ndmc", "--json"])
    assert (run.exit, run.document["identical"]) == (0, True)


@pytest.mark.parametrize("place", ["before_rotate", "before_named", "after_named", "after_rotate", "before_started"])
def test_a_crash_before_or_after_the_checkpoint_is_harmless(case: Path, place: str) -> None:
    folder = case / "journal" / "eucom"
    original = records(folder)
    ended = subprocess.run([sys.executable, "-c", START, str(case), place], check=False)
    assert ended.returncode == EXIT_CODE
    left = records(folder)
    assert left[: len(original)] == original
    assert all(isinstance(record.entry, Checkpoint) for record in left[len(original) :])

    exchange = exchange_of(case)
    exchange.open()
    exchange.start()
    exchange.run(MINUTE)
    exchange.stop()
    journal = records(folder)
    assert sum(isinstance(record.entry, Checkpoint) for record in journal) == 1
    assert replay(journal).not_run_again == [NotRunAgain(1, len(original), "1")]
    assert replay(journal).identical


def test_a_new_journal_names_its_rules(case: Path) -> None:
    for folder in (case / "journal").iterdir():
        for path in folder.iterdir():
            path.unlink()
    exchange = exchange_of(case, at=1_669_716_000_000)
    exchange.open()
    exchange.start()
    exchange.run(MINUTE)
    exchange.stop()
    for end in exchange.ends.values():
        journal = records(end.folder)
        assert isinstance(journal[0].entry, EpochOpened)
        assert journal[0].entry.rules == RULES
        assert isinstance(journal[1].entry, KeysEnrolled)
        assert replay(journal).not_run_again == []
        assert replay(journal).identical


def test_every_range_of_other_rules_is_listed(case: Path) -> None:
    """Rules 1, then the present ones, then newer ones."""
    exchange = exchange_of(case)
    exchange.open()
    before = exchange.eucom.journal.n
    exchange.start()
    exchange.run(MINUTE)
    exchange.stop()
    journal = records(case / "journal" / "eucom")
    last = journal[-1]
    core = fold(journal, empty(last))
    prev = last.hash
    for n, rules in enumerate(("98", "98", "99"), last.n + 1):
        entry = Checkpoint(at=last.entry.at, mono=last.entry.mono, rules=rules, core="Link", state=core.checkpoint())
        line, prev = encode(n, last.link, last.side, n, entry, (), prev)
        journal.append(decode(line))
    result = replay(journal)
    assert result.identical
    assert result.not_run_again == [
        NotRunAgain(1, before, "1"),
        NotRunAgain(last.n + 1, last.n + 2, "98"),
        NotRunAgain(last.n + 3, last.n + 3, "99"),
    ]
    assert result.other_rules == (last.n + 3, "99")
    assert result.core is None
