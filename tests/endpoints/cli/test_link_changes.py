"""`link accept` and `link amend` on two sides that share nothing but the files handed over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from tests.support.two_sides import TwoSides, fresh_key, run, with_keys, with_policy


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    return TwoSides(tmp_path / "s")


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_rotations_at_once_lead_to_one_file(sides: TwoSides, tmp_path: Path) -> None:
    before = sides.content("eucom")
    new = {side: fresh_key(tmp_path / side, f"{side}-next") for side in ("eucom", "ndmc")}
    for side, key in new.items():
        link_file.save(with_keys(before, **{side: (*before.keys[side], key)}), sides.file(side))
    brought = {side: sides.hand_over(sides.content(side), f"{side}.toml") for side in new}

    assert run("link", "accept", sides.config("eucom"), brought["ndmc"], "--yes") == 0
    assert run("link", "accept", sides.config("ndmc"), brought["eucom"], "--yes") == 0

    one, other = sides.content("eucom"), sides.content("ndmc")
    assert one.digest == other.digest
    assert {key.id for party in one.keys.values() for key in party} >= {"eucom-next", "ndmc-next"}


def test_the_watch_takes_over_the_keys_of_both_and_keeps_its_own(sides: TwoSides, tmp_path: Path) -> None:
    before = sides.content("watch")
    key = fresh_key(tmp_path / "k", "ndmc-next")
    theirs = structs.replace(with_keys(before, ndmc=(key,)), watch=None)

    assert run("link", "accept", sides.config("watch"), sides.hand_over(theirs), "--yes") == 0

    after = sides.content("watch")
    assert (after.keys["ndmc"], after.watch) == ((key,), before.watch)


def test_the_act_that_follows_names_the_link_among_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = TwoSides(tmp_path / "s", "one", "two")
    before = sides.content("eucom", "two.toml")
    theirs = sides.hand_over(with_keys(before, ndmc=(*before.keys["ndmc"], fresh_key(tmp_path / "k", "ndmc-next"))))
    assert run("link", "accept", sides.config("eucom"), theirs, "--yes", "--lang", "en") == 0
    subject = sides.content("eucom", "two.toml").digest[:16]
    assert f"keys_changed/{subject} --link two --officer ID" in capsys.readouterr().err


def test_a_side_is_told_that_the_other_has_other_keys_of_it(
    sides: TwoSides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sides.content("eucom")
    theirs = sides.hand_over(with_keys(before, eucom=(fresh_key(tmp_path / "k", "foreign"),)))

    assert run("link", "accept", sides.config("eucom"), theirs, "--yes") == 0

    said = capsys.readouterr().err
    assert f'it does not have the keys of this side: "{before.keys["eucom"][0].id}"' in said
    assert 'it has keys of this side that are not in force here: "foreign"' in said
    assert "nothing changes" in said
    assert sides.content("eucom") == before


LOW_ORDER = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def other_link(file: LinkFile) -> LinkFile:
    return structs.replace(file, terms=structs.replace(file.terms, link="eucom-other"))


def other_parties(file: LinkFile) -> LinkFile:
    terms = structs.replace(file.terms, caller="centcom")
    parties = {"centcom": file.parties["eucom"], "ndmc": file.parties["ndmc"]}
    return structs.replace(file, terms=terms, parties=parties)


def low_order(file: LinkFile) -> LinkFile:
    (key,) = file.keys["ndmc"]
    return with_keys(file, ndmc=(structs.replace(key, public=LOW_ORDER),))


def one_key_for_both(file: LinkFile) -> LinkFile:
    return with_keys(file, eucom=(), ndmc=(structs.replace(file.keys["eucom"][0], id="stolen"),))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (other_link, "link eucom-other, and {config} has no such link; its links: eucom-ndmc"),
        (other_parties, "its parties are centcom, ndmc, and those of link eucom-ndmc here are eucom, ndmc"),
        (low_order, "low order"),
        (one_key_for_both, "parties: the public key"),
        (lambda file: with_policy(file, grace_s=60), "amended on one side alone"),
        (lambda file: with_policy(file, 2, grace_s=60, suite="ed25519+ml-dsa-65"), "has no ml-dsa-65 key"),
        (
            lambda file: with_policy(file, 2, test_language="en"),
            "links[0].test_text: only in ru, but line tests on link eucom-ndmc are in en",
        ),
        (
            lambda file: with_keys(with_policy(file, 2), eucom=(structs.replace(file.keys["eucom"][0], id="else"),)),
            "it has not the keys of eucom that",
        ),
    ],
)
def test_a_file_that_this_side_cannot_take_over_is_refused_in_one_line(
    sides: TwoSides,
    change: Callable[[LinkFile], LinkFile],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = sides.hand_over(change(sides.content("ndmc")))
    before, config = everything(sides.folder), sides.config("eucom")

    assert run("link", "accept", config, theirs, "--yes") == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert complaint.format(config=config) in err.splitlines()[-1]
    assert err.count("deconflict: ") == 1
    assert everything(sides.folder) == before


def test_a_side_file_in_place_of_a_link_file_is_named(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    file = sides.folder / "ndmc.side.toml"
    file.write_text('side = "ndmc"\nsite = "Moscow"\nzone = "Europe/Moscow"\n')

    assert run("link", "accept", sides.config("eucom"), file, "--yes") == 2

    assert capsys.readouterr().err.startswith(f"deconflict: {file}: a side file (deconflict enrol); a link file was")


def test_a_file_of_an_epoch_that_is_over_is_refused(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    old = sides.hand_over(sides.content("ndmc"))
    link_file.save(with_policy(sides.content("eucom"), 2), sides.file("eucom"))

    assert run("link", "accept", sides.config("eucom"), old, "--yes") == 2

    assert "epoch 1, which is over" in capsys.readouterr().err


def test_an_amendment_is_prepared_on_one_side_and_taken_over_by_the_others(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    present = sides.content("eucom")
    words = ["--slots", "0 9 * * *", "30 12 * * 1-5", "--grace", "10m", "--handling", "flash=5m", "--four-eyes", "none"]
    assert run("link", "amend", sides.config("eucom"), *words, "--set", "test_text=Проверка", "--yes") == 0

    said = capsys.readouterr().err
    assert '  line tests: "0 9,17 * * *" -> "0 9 * * *"; "30 12 * * 1-5"' in said
    assert "  grace: 15m -> 10m" in said
    assert "  four eyes: FLASH; IMMEDIATE -> none" in said
    assert "  the other side and the watch take it over: deconflict link accept CONFIG link.next.toml\n" in said
    assert sides.content("eucom") == present
    ready = sides.content("eucom", "link.next.toml")
    policy = ready.terms.policy
    assert (ready.terms.epoch, policy.grace_s, policy.handling.flash, policy.four_eyes) == (2, 600, 300, ())

    for place in ("ndmc", "watch"):
        assert run("link", "accept", sides.config(place), sides.file("eucom", "link.next.toml"), "--yes") == 0
        assert sides.content(place, "link.next.toml").digest == ready.digest
        assert sides.content(place) == present
        said = capsys.readouterr().err
        compare = {
            "ndmc": f"confirm {sides.config('ndmc')} --officer ID",
            "watch": f"fingerprint {sides.file('watch', 'link.next.toml')} --compare",
        }
        assert f"  compare it by voice: deconflict link {compare[place]}\n" in said
        assert "link accept" not in said


def test_an_edited_copy_may_keep_the_epoch_and_changes_no_keys(
    sides: TwoSides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = sides.hand_over(with_policy(sides.content("eucom"), grace_s=60))
    assert run("link", "amend", sides.config("eucom"), copy, "--yes") == 0
    assert sides.content("eucom", "link.next.toml").terms.epoch == 2

    rogue = with_keys(sides.content("eucom"), eucom=(fresh_key(tmp_path / "k", "rogue"),))
    assert run("link", "amend", sides.config("eucom"), sides.hand_over(rogue), "--yes") == 2
    assert "it changes keys" in capsys.readouterr().err


def test_a_prepared_file_is_shown_and_replaced_only_on_demand(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("link", "amend", sides.config("eucom"), "--grace", "10m", "--yes") == 0
    prepared = sides.file("eucom", "link.next.toml").read_bytes()
    capsys.readouterr()

    assert run("link", "amend", sides.config("eucom"), "--grace", "11m", "--yes") == 2
    assert "  grace: 10m -> 11m\n" in capsys.readouterr().err
    assert sides.file("eucom", "link.next.toml").read_bytes() == prepared
    assert run("link", "amend", sides.config("eucom"), "--grace", "10m", "--yes") == 0
    assert run("link", "amend", sides.config("eucom"), "--grace", "11m", "--yes", "--replace") == 0
    assert sides.content("eucom", "link.next.toml").terms.policy.grace_s == 660


def test_a_jump_of_epochs_and_a_change_of_the_status_are_said_aloud(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = sides.hand_over(with_policy(sides.content("ndmc"), 4, status="actual"))

    assert run("link", "accept", sides.config("eucom"), theirs, "--yes", "--json") == 0

    out, err = capsys.readouterr()
    assert "!!! THE STATUS OF THE LINK CHANGES: EXERCISE -> ACTUAL !!!" in err
    assert "the epochs between are left out" in err
    document = json.loads(out)
    assert document["epoch"] == 4
    assert {"field": "policy.status", "before": "exercise", "after": "actual"} in document["differences"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--grace", "10"], "--grace: policy.grace: not a duration"),
        (["--grace", "15m"], "nothing changes but the epoch"),
        (["--handling", "flash"], "--handling: expected a precedence and a time"),
        (["--set", "grave=15m"], "--set: policy.grave: unknown key; did you mean grace?"),
        (["--set", "grace.x=15m"], "--set: policy.'grace.x': unknown key"),
        (["--set", "skew_limit"], "--set: expected a field and its value"),
        (["--slots", "70 9 * * *"], "policy.slots[0]: not a cron expression"),
        (["--category", "air_pursuit", "air_pursuit"], "policy.categories: the category air_pursuit occurs twice"),
        ([], "give an edited copy of the link file, or what to change"),
    ],
)
def test_a_wrong_amendment_is_one_line_and_nothing_is_prepared(
    sides: TwoSides, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("link", "amend", sides.config("eucom"), *words, "--yes") == 2

    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"deconflict: {complaint}")
    assert not sides.file("eucom", "link.next.toml").exists()


def test_without_a_terminal_and_consent_nothing_is_done(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(sides.folder)
    assert run("link", "amend", sides.config("eucom"), "--grace", "10m") == 2
    assert "nothing was done" in capsys.readouterr().err
    assert everything(sides.folder) == before


def test_foreign_texts_cannot_imitate_a_row(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    file = sides.content("ndmc")
    party = structs.replace(file.parties["ndmc"], site='Moscow"\n  grace: 15m -> 1s \u202egnorw')
    theirs = sides.hand_over(structs.replace(file, parties={**file.parties, "ndmc": party}))

    assert run("link", "accept", sides.config("eucom"), theirs, "--yes") == 0

    (row,) = [line for line in capsys.readouterr().err.splitlines() if "grace" in line]
    assert row.startswith('  site of ndmc: "Moscow" -> "Moscow\\"\\n')
    assert "\u202e" not in row
