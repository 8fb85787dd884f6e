"""Everything that is wrong in a scenario file is said at once, each fault in one line with its step and key."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from endpoints.errors import UserError
from endpoints.texts.i18n import translator
from scenario.files import COUNTED_MAX, FAULTS_MAX, check, decode, packaged
from scenario.steps import STEPS_MAX, Scenario
from tests.contracts.validators import faults as faults_by_schema
from tests.contracts.validators import validator

DAY = json.loads(packaged("one-day").read_bytes())
WEEK = json.loads(packaged("syria-week").read_bytes())


def changed(**fields: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(DAY)), **fields}


def with_step(index: int, **fields: Any) -> dict[str, Any]:
    """Return the day with a step changed; None takes a key out."""
    day = changed()
    day["steps"][index] |= fields
    day["steps"][index] = {key: value for key, value in day["steps"][index].items() if value is not None}
    return day


def with_link(**fields: Any) -> dict[str, Any]:
    day = changed()
    day["link"] |= fields
    return day


def with_expect(**fields: Any) -> dict[str, Any]:
    day = changed()
    day["expect"] |= fields
    return day


def lines(document: Any) -> list[str]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = check(text)
    said = [each.line for each in found.faults]
    assert (found.scenario is None) == bool(said)
    # in one line, in both languages
    assert not [each for each in said if "\n" in each]
    for each in said:
        assert translator("ru").say(each) != each, "not translated"
    return said


SHAPE = [
    (
        with_step(7, precedense="flash", do="alert", side="eucom"),
        'step 7, "alert": unknown key "precedense"; did you mean "precedence"?',
    ),
    (with_step(0, precedence=None), 'step 0, "alert": key "precedence" is missing: expected one of flash, immediate, '),
    (with_step(0, precedence="flsh"), 'step 0, "alert", "precedence": "flsh" is unknown; did you mean "flash"?'),
    (
        with_step(0, precedence=7),
        'step 0, "alert", "precedence": expected one of flash, immediate, priority, routine, found 7',
    ),
    (with_step(0, do="alrt"), 'step 0, "alrt", "do": "alrt" is unknown; did you mean "alert"?'),
    (with_step(0, do=None), 'step 0: key "do" is missing: expected one of alert, acknowledge, '),
    (with_step(0, do=["alert"]), 'step 0, "do": expected one of alert, acknowledge, '),
    (with_step(0, officers="watch-1"), 'step 0, "alert", "officers": expected a list, found "watch-1"'),
    (with_step(0, officers=[]), 'step 0, "alert", "officers": 0 elements: expected 1 to 2'),
    (
        with_step(0, officers=["Watch 1"]),
        'step 0, "alert", "officers[0]": expected 1 to 32 lower-case letters, digits and hyph',
    ),
    (
        with_step(0, text={"english": "x"}),
        'step 0, "alert", "text": key "english": expected two letters for a language, such as en',
    ),
    (with_step(0, text={"en": ""}), 'step 0, "alert", "text.en": expected a text of 1 to 4000 characters, found ""'),
    (
        with_step(0, expires_after="soon"),
        'step 0, "alert", "expires_after": expected a duration such as 40s, 15m, 6h or 2d, found',
    ),
    (with_step(0, expires_after="40s\n"), 'step 0, "alert", "expires_after": expected a duration'),
    (
        with_step(0, at="noon"),
        'step 0, "alert", "at": expected an instant such as 2022-11-29T16:00:00.000Z, found "noon"',
    ),
    (
        with_step(0, area={"name": "Dam"}),
        'step 0, "alert", "area": key "latitude_udeg" is missing: expected a whole number from -90',
    ),
    (with_step(0, assumed=1), 'step 0, "alert", "assumed": expected true or false, found 1'),
    (with_step(1, of="3"), 'step 1, "acknowledge", "of": expected a step such as step 3, found "3"'),
    (
        with_step(0, repeat={"every": "1h", "times": 10**9}),
        'step 0, "alert", "repeat.times": expected a whole number from 2 to 1000, ',
    ),
    (
        with_step(0, repeat={"every": "1h", "times": 10**400}),
        'step 0, "alert", "repeat.times": expected a whole number from 2',
    ),
    (
        with_step(0, repeat={"every": "1h", "times": 2.5}),
        'step 0, "alert", "repeat.times": expected a whole number from 2',
    ),
    (changed(steps={}), "steps: expected a list, found an object"),
    (changed(steps=[7]), "step 0: expected an object, found 7"),
    (changed(steps=[None]), "step 0: expected an object, found null"),
    (changed(status="actual"), "status: expected exercise, found"),
    (changed(nmae="x"), 'unknown key "nmae"; did you mean "name"?'),
    (changed(zzz="x"), 'unknown key "zzz"; known here: version, name, starts, '),
    ({key: value for key, value in DAY.items() if key != "link"}, 'key "link" is missing: expected an object'),
    (with_link(caller={"id": "eucom"}), 'link.caller: key "name" is missing'),
    (with_link(chanels=[]), 'link: unknown key "chanels"; did you mean "channels"?'),
    (with_link(channels=DAY["link"]["channels"] * 6), "link.channels: 18 elements: expected 0 to 16"),
    (with_expect(alarms_at_least=["x"] * 50_000), "expect.alarms_at_least: 50000 elements: expected 0 to 100"),
    (
        with_expect(alerts_from={f"side-{number}": 1 for number in range(9_000)}),
        "expect.alerts_from: 9000 elements: expected 0 to 2",
    ),
    (with_expect(slots=-1), "expect.slots: expected a whole number from 0 to 1000000, found -1"),
    (
        with_expect(alerts_between=[["2022-11-29T16:00:00.000Z"]]),
        "expect.alerts_between[0]: expected a list of 3, found a list",
    ),
]


@pytest.mark.parametrize(("document", "line"), SHAPE, ids=[line[:50] for _, line in SHAPE])
def test_a_wrong_shape_names_its_place_and_what_would_be_right(document: dict[str, Any], line: str) -> None:
    said = lines(document)
    assert [each for each in said if each.startswith(line)], said
    # the schema refuses it too
    assert faults_by_schema(validator("scenario.schema.json"), document)


RULES = [
    (
        changed(starts="2022-13-29T07:50:00.000Z"),
        'starts: "2022-13-29T07:50:00.000Z" is not an instant: month must be in 1..12',
    ),
    (
        changed(starts="2022-11-30T07:50:00.000Z"),
        "ends: 2022-11-29T19:00:00.000Z is not after starts, 2022-11-30T07:50:00.000Z",
    ),
    (changed(ends="2032-11-29T19:00:00.000Z"), "ends: more than 400 days after starts"),
    (with_link(answering=DAY["link"]["caller"]), 'link.answering.id: "eucom" is also the id of the caller'),
    (
        with_link(answering=DAY["link"]["answering"] | {"id": "broker"}),
        'link.answering.id: "broker" is reserved; choose anoth',
    ),
    (
        with_link(answering=DAY["link"]["answering"] | {"zone": "Europe/Moskow"}),
        "link.answering.zone: not a time zone such as",
    ),
    (with_link(slots=DAY["link"]["slots"] | {"cron": "0 9 * *"}), "link.slots.cron: not five fields"),
    (with_link(slots=DAY["link"]["slots"] | {"grace": "40d"}), 'link.slots.grace: "40d" is longer than 31 days'),
    (with_link(test_language="en"), 'line_test.text: no text in the test_language of the link, "en"'),
    (with_link(channels=[DAY["link"]["channels"][0]] * 2), 'link.channels: "ministers" occurs twice'),
    (with_step(0, side="broker"), 'step 0, "alert", "side": "broker" cannot do this; eucom or ndmc can'),
    (
        with_step(0, category="airspace_operation"),
        'step 0, "alert", "category": "airspace_operation" is not agreed on the link',
    ),
    (
        with_step(0, officers=["watch-1", "watch-1"]),
        'step 0, "alert", "officers": precedence immediate needs 2 different officers',
    ),
    (with_step(0, text={"de": "Damm"}), 'step 0, "alert", "text": language "de" is not one of the link: ru, en'),
    (with_step(0, text={"en": "Dam\u0007"}), 'step 0, "alert": text.en: not admitted'),
    (
        with_step(0, area=DAY["steps"][0]["area"] | {"name": "\ud800"}),
        'step 0, "alert": area.name: not admitted',
    ),
    (
        with_link(caller=DAY["link"]["caller"] | {"site": "Wies\u0001"}),
        "link.caller.site: not admitted",
    ),
    (
        with_step(0, link="other"),
        'step 0, "alert", "link": "other" is not a link of the scenario; its links: eucom-ndmc',
    ),
    (with_step(2, link="eucom-ndmc"), 'step 2, "crash", "link": this concerns every link; leave the key out'),
    (
        with_step(0, at="2022-11-28T10:12:00.000Z"),
        'step 0, "alert", "at": 2022-11-28T10:12:00.000Z is not between starts',
    ),
    (
        with_step(1, at="2022-11-29T10:02:00.000Z"),
        'step 1, "acknowledge", "at": 2022-11-29T10:02:00.000Z is before the step',
    ),
    (
        with_step(0, at="2022-11-29T10:99:00.000Z"),
        'step 0, "alert", "at": "2022-11-29T10:99:00.000Z" is not an instant: minute',
    ),
    (with_step(0, repeat={"every": "1d", "times": 3}), 'step 0, "alert", "repeat": the last time is not before ends'),
    (with_step(1, of="step 1"), 'step 1, "acknowledge", "of": step 1 is this step itself; name the alert'),
    (with_step(1, of="step 3"), 'step 1, "acknowledge", "of": step 3 comes after this step; name an earlier alert'),
    (with_step(1, of="step 99"), 'step 1, "acknowledge", "of": step 99 does not exist; the last one is step 7'),
    (
        with_step(5, of="step 1"),
        'step 5, "acknowledge", "of": step 1 is not an alert of the other side; its alerts: step 0, ',
    ),
    (with_step(4, side="eucom"), 'step 4, "restart", "do": eucom is already up at 2022-11-29T12:44:00.000Z'),
    (with_step(3, side="ndmc"), 'step 3, "alert", "side": ndmc is down at 2022-11-29T12:40:00.000Z'),
    (with_step(7, do="stop"), 'step 7, "stop", "do": broker is already down at 2022-11-29T17:30:00.000Z'),
    (changed(steps=DAY["steps"][:-1]), 'step 6, "stop", "do": broker is not started again before ends'),
    (
        with_expect(late=["2022-11-29T16:01:00.000Z"]),
        "expect.late[0]: 2022-11-29T16:01:00.000Z is not a slot of the link",
    ),
    (
        with_expect(alarms_at_least=["heartbeat_mised"]),
        'expect.alarms_at_least[0]: no alarm is called "heartbeat_mised"; did',
    ),
    (with_expect(alerts_from={"eucm": 1}), 'expect.alerts_from: "eucm" is not a party; use eucom or ndmc'),
]


@pytest.mark.parametrize(("document", "line"), RULES, ids=[line[:50] for _, line in RULES])
def test_what_only_the_whole_file_shows_is_said_with_its_place(document: dict[str, Any], line: str) -> None:
    said = lines(document)
    assert [each for each in said if each.startswith(line)], said


def test_a_loop_of_references_is_one_line_for_each() -> None:
    day = changed()
    day["steps"][1]["of"], day["steps"][5]["of"] = "step 5", "step 1"
    assert lines(day) == [
        'step 1, "acknowledge", "of": step 5 comes after this step; name an earlier alert',
        'step 5, "acknowledge", "of": step 1 is not an alert of the other side; its alerts: step 0, step 3',
    ]


def test_the_links_of_references_and_repetitions_must_agree() -> None:
    week = json.loads(json.dumps(WEEK))
    places = {(step["do"], step.get("link")): place for place, step in enumerate(week["steps"])}
    of = places["alert", "syria-relief"]
    for place, step in enumerate(week["steps"]):
        if (
            step["do"] == "acknowledge"
            and "link" not in step
            and place > of
            and step["side"] != week["steps"][of]["side"]
        ):
            step["of"] = f"step {of}"
            assert (
                f'step {place}, "acknowledge", "of": step {of} is of the link syria-relief; name the same link here'
                in lines(week)
            )
            break
    week = json.loads(json.dumps(WEEK))
    once = next(place for place, step in enumerate(week["steps"]) if step["do"] == "acknowledge" and "repeat" in step)
    del week["steps"][once]["repeat"]
    (line,) = lines(week)
    assert line.endswith("is repeated 7 times; repeat this step as often")


def test_a_link_that_is_cut_must_be_mended() -> None:
    week = json.loads(json.dumps(WEEK))
    steps = [step for step in week["steps"] if step["do"] != "mend" and "of" not in step]
    cut = next(place for place, step in enumerate(steps) if step["do"] == "cut")
    assert (
        f'step {cut}, "cut", "do": syria-ground is not started again before ends; the journals could not agree'
        in lines(week | {"steps": steps})
    )


def test_all_faults_are_said_at_once_those_of_steps_in_order() -> None:
    day = changed(ends="2022-11-29T19:00:00.000Z")
    day["steps"][0]["precedence"] = "flsh"
    day["steps"][2]["do"] = "crsh"
    day["steps"][6]["side"] = "eucom"
    day["link"]["caller"]["zone"] = "Europe/Berln"
    assert [line.partition(": ")[0] for line in lines(day)] == [
        "link.caller.zone",
        'step 0, "alert", "precedence"',
        'step 2, "crsh", "do"',
        'step 6, "stop", "side"',
    ]


UNREADABLE = [
    (b"", "not a scenario: expected a JSON object, which begins with {"),
    (b"[1]", "not a scenario: expected a JSON object, which begins with {"),
    (b"name: x\nsteps: []\n", "not a scenario: expected a JSON object, which begins with {"),
    (b'{"name": "\xff"}', "not UTF-8 at byte 10; save it as UTF-8"),
    ("{}".encode("utf-16"), "not UTF-8 at byte 0; save it as UTF-8"),
    (b"\xef\xbb\xbf{}", "it begins with a byte order mark; save it as UTF-8 without one"),
    (b'{"name": "x",}', "not JSON at line 1, column 14: "),
    (b'{"name":\n "x"', "not JSON at line 2, column 5: "),
    (b'{"a":' * 100_000, "objects or lists are nested too deep for a scenario"),
    (b'{"a":' + b"[" * 100_000, "objects or lists are nested too deep for a scenario"),
    (b'{"a": ' + b"9" * 100_000 + b"}", "a number has too many digits"),
    (b'{"a": NaN}', "NaN is not a number of JSON"),
    (b'{"name": "x", "name": "y"}', 'the key "name" occurs twice in one object'),
    (b'{"version": 2, "anything": [1, 2]}', "version 2 of the format is unknown here; this program reads version 1"),
    (b'{"version": "1"}', 'version "1" of the format is unknown here; this program reads version 1'),
    (b'{"version": true}', "version true of the format is unknown here; this program reads version 1"),
    (json.dumps(changed(steps=DAY["steps"] * 1_250)).encode(), "steps: 10000 of them; a scenario has at most 2000"),
]


@pytest.mark.parametrize(("text", "line"), UNREADABLE, ids=[line[:50] for _, line in UNREADABLE])
def test_a_file_that_is_none_is_one_line(text: bytes, line: str) -> None:
    (said,) = lines(text)
    assert said.startswith(line)


def test_no_more_steps_are_played_than_can_be() -> None:
    day = changed(ends="2023-12-01T00:00:00.000Z")
    day["steps"] = [
        {
            "at": DAY["steps"][0]["at"],
            "side": "world",
            "do": "nothing",
            "what": "x",
            "repeat": {"every": "1s", "times": 1_000},
        }
    ] * (STEPS_MAX // 2)
    day["expect"] |= {"late": [], "unanswered": []}
    (said,) = lines(day)
    assert said == "steps: 1000000 with their repetitions; the most is 20000"


def test_more_slots_than_can_be_played_are_refused() -> None:
    day = changed(ends="2023-12-01T00:00:00.000Z")
    day["link"]["slots"]["cron"] = "* * * * *"
    assert lines(day) == ["link.slots.cron: more than 10000 slots until ends"]


def test_of_very_many_faults_the_first_are_said_and_the_others_counted() -> None:
    found = check(json.dumps(with_step(0, **{f"key{number}": 1 for number in range(60_000)})).encode())
    assert (len(found.faults), found.more) == (FAULTS_MAX, COUNTED_MAX - FAULTS_MAX)


def test_a_file_that_is_played_names_the_first_fault_and_counts_the_others() -> None:
    day = with_step(0, precedence="flsh")
    day["steps"][2]["do"] = "crsh"
    with pytest.raises(UserError) as caught:
        decode(json.dumps(day).encode(), "day.json")
    first = 'day.json: step 0, "alert", "precedence": "flsh" is unknown; did you mean "flash"?'
    assert str(caught.value) == f"{first} (and 1 more: demo --check)"


def test_what_has_no_fault_of_shape_converts() -> None:
    """The checks know all that msgspec refuses."""
    for name in ("one-day", "november-2022", "spring", "syria-week"):
        found = check(packaged(name).read_bytes())
        assert found.scenario == msgspec.json.decode(packaged(name).read_bytes(), type=Scenario)
