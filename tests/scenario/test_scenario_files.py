from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from endpoints.errors import UserError
from scenario.files import PACKAGED, decode, load, packaged
from scenario.steps import Acknowledge, AlertStep


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(packaged("one-day").read_bytes()), **fields}).encode()


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_scenarios_load(name: str) -> None:
    assert load(packaged(name)).name == name


@pytest.mark.parametrize("name", ["one-day", "november-2022"])
def test_the_scenarios_of_november_have_the_same_sides(name: str) -> None:
    scenario = load(packaged(name))
    assert [party.id for party in scenario.parties] == ["eucom", "ndmc"]
    assert scenario.officers("eucom") == ("watch-1", "watch-2")
    assert scenario.duty_officer("ndmc") == "duty-1"


def test_terms_contain_the_schedule_and_the_texts() -> None:
    terms = load(packaged("one-day")).terms()
    assert (terms.link, terms.epoch, terms.caller, terms.answering) == ("eucom-ndmc", 1, "eucom", "ndmc")
    assert (terms.policy.grace_s, terms.policy.answer_within_s, terms.policy.status) == (900, 600, "exercise")
    assert terms.policy.test_text.startswith("Говорит Висбаден")
    assert [channel.id for channel in terms.policy.channels] == ["ministers", "chiefs", "advisers"]


def test_a_side_without_named_officers_has_two() -> None:
    scenario = decode(changed(steps=[]), "scenario.json")
    assert scenario.officers("eucom") == ("duty-1", "duty-2")


def test_an_acknowledgement_refers_to_its_alert() -> None:
    scenario = load(packaged("one-day"))
    acknowledge = scenario.steps[5]
    assert not isinstance(acknowledge, AlertStep)
    assert scenario.alert_of(acknowledge) == 3  # type: ignore[arg-type]


def test_unreadable_files_give_one_line(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none.json", "No such file")):
        with pytest.raises(UserError, match=words):
            load(path)
    huge = tmp_path / "huge.json"
    huge.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(UserError, match="larger than 1048576 bytes"):
        load(huge)


def test_a_repeated_step_is_played_as_often_with_the_alert_of_the_same_time() -> None:
    steps = json.loads(packaged("one-day").read_bytes())["steps"][:2]
    for step in steps:
        step["at"] = step["at"].replace("T10", "T08")
        step["repeat"] = {"every": "3h", "times": 3}
    played = decode(changed(steps=steps), "scenario.json").steps
    assert [step.at[11:16] for step in played] == ["08:12", "08:18", "11:12", "11:18", "14:12", "14:18"]
    assert [step.of for step in played if isinstance(step, Acknowledge)] == ["step 0", "step 2", "step 4"]


def test_one_step_may_answer_for_an_alert_that_is_not_repeated() -> None:
    steps = json.loads(packaged("one-day").read_bytes())["steps"][:2]
    steps[1]["repeat"] = {"every": "1h", "times": 2}
    played = decode(changed(steps=steps), "scenario.json").steps
    assert [step.of for step in played if isinstance(step, Acknowledge)] == ["step 0", "step 0"]
