"""Journals of earlier versions are verified, replayed, reconciled, and continued by this one."""

from pathlib import Path
from typing import Any

import pytest

from tests.golden import cases
from tests.golden.continuing import RULES, deconflict, go_on

ARCHIVES = {f"{archive.parent.name}/{archive.name.removesuffix(cases.SUFFIX)}": archive for archive in cases.archives()}
SHORTEST_CONTINUATION = 20
"""Records at least: a start, frames of the other side, batches, checkpoints, a clean stop."""


@pytest.fixture(scope="module", params=ARCHIVES)
def archive(request: pytest.FixtureRequest) -> Path:
    return ARCHIVES[request.param]


@pytest.fixture
def case(archive: Path, tmp_path: Path) -> Path:
    cases.unpack(archive, tmp_path / "case")
    return tmp_path / "case"


def wanted_of(run: cases.Run, rules: str) -> Any:
    """Return what a command must say: a state of other rules can't be computed, only verified."""
    if run.arguments[0] == "replay" and rules != RULES:
        return {
            name: value for name, value in run.document.items() if name not in {"state", "other_rules", "not_run_again"}
        }
    return run.document


def promised(found: Any) -> set[int]:
    """Return the places of the messages to which a reply was only promised. That acknowledges nothing."""
    return {place for place, message in enumerate(found.get("messages", ())) if message["state"] == "will_reply"}


def carried_over(state: Any, archive: Path) -> Any:
    """Return the state without what later rules judge or word otherwise.

    Rules 3 clear `clock_skew` later. Rules 4 say why there is no connection, forget who was present when it is lost,
    and leave the condition of a link to the process, which knows more than its journal.
    """
    rules = int(cases.rules_of(archive))
    if rules >= 4:
        return state
    alarms = [dict(alarm) for alarm in state["alarms"]]
    for alarm in alarms:
        if alarm["code"] == "broker_unreachable":
            del alarm["detail"]
        if alarm["code"] == "clock_skew" and rules < 3:
            alarm.pop("cleared_at", None)
    return {name: value for name, value in state.items() if name not in {"condition", "present"}} | {"alarms": alarms}


def test_there_are_cases_of_these_rules() -> None:
    made = {name for name, archive in ARCHIVES.items() if cases.rules_of(archive) == RULES}
    assert len(made) >= 7, f"write them: python -m tests.golden.make (rules {RULES})"


def test_what_is_known_of_them_is_found(archive: Path, case: Path) -> None:
    runs = cases.expected(archive)
    assert [(run.arguments, run.stdin) for run in runs] == list(cases.commands(case))
    for run in runs:
        found = deconflict(case, run.arguments, run.stdin)
        assert found.exit == run.exit, (run.arguments, run.stdin, found)
        wanted = wanted_of(run, cases.rules_of(archive))
        if run.arguments[0] == "reconcile" and int(cases.rules_of(archive)) < 4:
            for place in promised(found.document):
                wanted["messages"][place].pop("acknowledged_at")
        wrong = list(cases.missing(wanted, found.document))
        assert not wrong, (run.arguments, run.stdin, wrong)


def test_each_is_continued(archive: Path, case: Path) -> None:
    runs = {run.arguments: run for run in cases.expected(archive)}
    segments = {folder.name: len(list(folder.glob("*.jsonl"))) for folder in (case / "journal").iterdir()}
    continued = go_on(case)
    assert set(continued) == set(segments)
    for name, journal in continued.items():
        folder = f"journal/{name}"
        before = runs["replay", folder, "--json"].document
        assert journal.records_before == before["records"], name
        # what the journal says is true now has been carried over
        wrong = list(cases.missing(carried_over(before["state"], archive), carried_over(journal.state_before, archive)))
        assert not wrong, (name, wrong)

        verified = deconflict(case, ["log", "verify", folder, "--expect-head", journal.head_before, "--json"])
        assert verified.document["problems"] == []
        assert verified.exit == 0
        assert verified.document["records"] == journal.records_after
        assert verified.document["head"] == journal.head_after
        assert journal.records_after >= journal.records_before + SHORTEST_CONTINUATION
        assert len(list((case / folder).glob("*.jsonl"))) > segments[name], "no checkpoint was written"
        replayed = deconflict(case, ["replay", folder, "--json"])
        assert replayed.exit == 0, replayed.document
        assert replayed.document["identical"]

    reconcile = next(arguments for arguments in runs if arguments[0] == "reconcile" and "-" not in arguments)
    reconciled, known = deconflict(case, reconcile), runs[reconcile]
    # two more alerts and their acknowledgements; where the journals disagreed they still do
    assert reconciled.exit == known.exit
    assert len(reconciled.document["messages"]) >= len(known.document["messages"]) + 4
