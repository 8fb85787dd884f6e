"""The scenarios of the project end as they expect in simulation, and a step that is refused is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from endpoints.cli.demo import _simulated
from endpoints.errors import UserError
from endpoints.texts.i18n import translator
from scenario.files import decode, load, packaged
from scenario.final_audit import FinalAudit
from scenario.narrator import Narrator
from scenario.simulation.simulate import quiet
from scenario.steps import Scenario, simulated_alone


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet()


def played(story: Scenario, folder: Path) -> FinalAudit:
    return _simulated(story, folder, Narrator(story, Console(quiet=True), translator("en")))


def test_the_slot_of_the_skipped_hour_is_met_right_after_it(tmp_path: Path) -> None:
    """SPEC W1.5: in Wiesbaden, 02:30 of 26 March 2023 does not exist."""
    audit = played(load(packaged("spring")), tmp_path)
    assert audit.passed
    found = {each.what: each.found for each in audit.findings}
    assert (found["slots"], found["answered_in_time"]) == (5, 5)
    journal = b"".join(path.read_bytes() for path in sorted((tmp_path / "link/eucom/journal/eucom-ndmc").iterdir()))
    slots = next(json.loads(line)["slots"] for line in journal.splitlines() if b'"event":"Started"' in line)
    assert "2023-03-26T01:00:00.000Z" in slots
    assert "2023-03-26T00:30:00.000Z" not in slots


def test_a_link_that_is_cut_for_a_day_loses_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    """15 messages a day each way for a week, over three links of one endpoint."""
    story = load(packaged("syria-week"))
    audit = played(story, tmp_path)
    assert audit.passed
    assert audit.messages == 15 * 2 * 7
    assert len(audit.journals) == 9
    alarms = {}
    for link in ("syria-air", "syria-ground", "syria-relief"):
        text = b"".join(path.read_bytes() for path in (tmp_path / f"link/udeid/journal/{link}").iterdir())
        alarms[link] = text.count(b'"effect":"RaiseAlarm"')
    assert alarms["syria-air"] == alarms["syria-relief"] == 0
    assert alarms["syria-ground"] > 2


def test_several_links_and_cut_ones_are_played_in_simulation_alone() -> None:
    assert simulated_alone(load(packaged("syria-week"))) == "several links are played in simulation alone"
    assert simulated_alone(load(packaged("spring"))) is None


def day(**changes: dict[str, Any]) -> Scenario:
    document = json.loads(packaged("one-day").read_bytes())
    for index, fields in changes.items():
        document["steps"][int(index.removeprefix("step"))] |= fields
    return decode(json.dumps(document).encode(), "day")


def test_an_alert_that_never_arrives_cannot_be_acknowledged(tmp_path: Path) -> None:
    # the broker is down from 15:45 to 17:30
    late = {"at": "2022-11-29T16:00:00.000Z", "side": "ndmc", "do": "acknowledge", "of": "step 6", "officer": "duty-1"}
    document = json.loads(packaged("one-day").read_bytes())
    steps = document["steps"]
    alert = {**steps[3], "at": "2022-11-29T15:50:00.000Z"}
    document["steps"] = [*steps[:7], alert, late | {"of": "step 7", "decision": "understood"}, steps[7]]
    story = decode(json.dumps(document).encode(), "day")
    with pytest.raises(UserError) as caught:
        played(story, tmp_path)
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(
        '2022-11-29T16:00:00.000Z, "acknowledge": duty-1 of ndmc cannot do this: eucom/1/'
    )


def test_an_alert_that_is_not_released_in_time_cannot_be_acknowledged(tmp_path: Path) -> None:
    # the reply comes before the second officer has released the alert, and goes out as soon as it is there
    audit = played(day(step1={"at": "2022-11-29T10:12:05.000Z"}), tmp_path)
    assert all(each.met for each in audit.findings if each.what == "alerts_from")
