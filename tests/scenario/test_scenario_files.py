from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from endpoints.errors import UserError
from scenario.files import decode, load, packaged
from scenario.steps import AlertStep, Scenario


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(packaged("one-day").read_bytes()), **fields}).encode()


def with_step(index: int, **fields: Any) -> bytes:
    steps = json.loads(packaged("one-day").read_bytes())["steps"]
    steps[index] |= fields
    return changed(steps=[{key: value for key, value in step.items() if value is not None} for step in steps])


def error(text: bytes) -> str:
    with pytest.raises(UserError) as caught:
        decode(text, "scenario.json")
    message = str(caught.value)
    assert message.startswith("scenario.json: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["one-day", "november-2022"])
def test_packaged_scenarios_load(name: str) -> None:
    scenario = load(packaged(name))
    assert scenario.name == name
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


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[1]", "Expected `object`"),
        (b"[" * 10_000, "not a valid scenario"),
        (changed(status="actual"), "$.status"),
        (changed(unknown=1), "unknown"),
        (
            changed(starts="2022-13-29T07:50:00.000Z"),
            "starts: '2022-13-29T07:50:00.000Z' is not a valid instant: month must be",
        ),
        (changed(starts="2022-11-30T07:50:00.000Z"), "ends: "),
        (with_step(0, side="broker"), "steps[0].side: 'broker' cannot do this"),
        (with_step(0, at="2022-11-28T10:12:00.000Z"), "steps[0].at: "),
        (with_step(0, do="invent"), "$.steps[0]"),
        (with_step(0, officers=["watch-1", "watch-1"]), "steps[0].officers: precedence immediate needs 2"),
        (with_step(0, expires_after="soon"), "$.steps[0].expires_after"),
        (with_step(1, of="step 3"), "steps[1].of: 'step 3' is not an earlier alert"),
        (with_step(4, side="eucom"), "steps[4].do: eucom is already up"),
        (with_step(3, side="ndmc"), "steps[3].side: ndmc is down"),
        (with_step(7, do="stop"), "steps[7].do: broker is already down"),
    ],
)
def test_an_invalid_file_gives_one_line_with_the_place(text: bytes, where: str) -> None:
    assert where in error(text)


def test_what_is_stopped_must_be_started_again() -> None:
    steps = json.loads(packaged("one-day").read_bytes())["steps"]
    assert "broker must be started again" in error(changed(steps=steps[:-1]))


def test_a_referral_must_name_a_channel_of_the_link() -> None:
    steps = json.loads(packaged("november-2022").read_bytes())["steps"]
    steps[3]["referral"] = "nobody"
    document = json.loads(packaged("november-2022").read_bytes()) | {"steps": steps}
    found = error(json.dumps(document).encode())
    assert "steps[3].referral: 'nobody' is not a channel of the link; its channels: ministers" in found


def test_unreadable_files_give_one_line(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none.json", "No such file")):
        with pytest.raises(UserError, match=words):
            load(path)
    huge = tmp_path / "huge.json"
    huge.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(UserError, match="larger than 1048576 bytes"):
        load(huge)


def test_party_ids_are_distinct_and_not_reserved() -> None:
    link = json.loads(packaged("one-day").read_bytes())["link"]
    assert "different ids" in error(changed(link=link | {"answering": link["caller"]}, steps=[]))
    renamed = link | {"answering": link["answering"] | {"id": Scenario.BROKER}}
    assert "'broker' is reserved" in error(changed(link=renamed, steps=[]))
