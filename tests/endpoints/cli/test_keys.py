"""`key show`, `key add`, `key retire`, `key revoke` on installations whose services ran before, and run again after."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.cli.key_links import keyed_links
from endpoints.cli.link_file_change import LinkFileChange
from endpoints.config import link_file, settings
from endpoints.config.former_files import former
from endpoints.config.link_file import LinkFile
from endpoints.errors import UserError
from endpoints.journal.key_history import key_history
from endpoints.journal.segments import lock
from endpoints.keys import key_files
from endpoints.keys.signer import Signer, read_key
from endpoints.texts.i18n import LANGUAGES
from protocol.core.events import AlarmAcknowledged
from protocol.wire.policy import EnrolledKey
from tests.support.exchange import Service, words_asked
from tests.support.two_sides import TwoSides, fresh_key, run, with_keys, with_policy
from tests.support.world import MINUTE, World

LINK = "eucom-ndmc"
BEGINS = 1_669_708_800_000


class Place:
    """One side of an installation, whose service runs for as long as a test wants."""

    def __init__(self, sides: TwoSides, name: str = "eucom") -> None:
        self.sides, self.name, self.config = sides, name, sides.config(name)
        self.keys = self.config.parent / "keys"
        self._world = World(BEGINS)
        self._requests = 0

    @property
    def content(self) -> LinkFile:
        return self.sides.content(self.name)

    @property
    def own(self) -> tuple[EnrolledKey, ...]:
        content = self.content
        return content.watch_keys if self.name == "watch" else content.keys[self.name]

    def ran(self, *, officer: str = "") -> None:
        """Let the service take over the files, and `officer` accept the keys, if there is one."""
        self._world.at += MINUTE
        journal = self.config.parent / "journal" / LINK
        agreed = {key for owner, key in key_history(journal, LINK, self.name, whole=False).agreed() if key in self.own}
        signs = next(each for each in agreed or self.own if each.id in key_files.stored(self.keys))
        signer = Signer({signs.id: read_key(self.keys / f"{signs.id}.pem")})
        service = Service(self.name, self._world, self.content, journal, signer=signer)
        service.open()
        service.start()
        service.turn()
        for alarm in service.core.snapshot().alarms if officer else ():
            self._requests += 1
            service.runner.request(
                AlarmAcknowledged(
                    at=service.at,
                    mono=service.mono,
                    request=f"{self.name}-{self._world.at}-{self._requests}",
                    officer=officer,
                    code=str(alarm.code),
                    subject=alarm.subject,
                    words=words_asked(self.content, alarm.words_from or 1),
                )
            )
        service.turn()
        service.stop()


@pytest.fixture
def eucom(tmp_path: Path) -> Place:
    place = Place(TwoSides(tmp_path / "s"))
    place.ran()
    return place


def shown(place: Place, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run("key", "show", place.config, "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def states(place: Place, capsys: pytest.CaptureFixture[str], party: str = "eucom") -> dict[str, str]:
    return {row["id"]: row["state"] for row in shown(place, capsys)["keys"] if row["party"] == party}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(place: Place, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line of a command that must fail and change nothing."""
    before = everything(place.sides.folder)
    capsys.readouterr()
    assert run(*words[:2], place.config, *words[2:], "--lang", "en") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert everything(place.sides.folder) == before
    return err


@pytest.mark.parametrize("command", ["add", "retire", "revoke"])
def test_a_process_that_does_not_answer_leaves_the_change_and_the_exit_code_says_so(
    eucom: Place, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have taken the files over: they stay, and so does the private key that they name."""
    (old,) = eucom.own
    if command != "add":
        assert run("key", "add", eucom.config) == 0
        eucom.ran(officer="watch-1")
    running = lock(eucom.config.parent / "journal" / LINK)
    capsys.readouterr()
    words = () if command == "add" else (old.id, "--yes")
    assert run("key", command, eucom.config, *words, "--lang", "en") == 12
    os.close(running)
    assert "whether the running process has taken it over is not known" in capsys.readouterr().err
    assert (old in eucom.own) is (command == "add")
    assert {key.id for key in eucom.own} <= key_files.stored(eucom.keys).keys()


# --- rotation -----------------------------------------------------------------------------------------------------


def test_a_key_is_added_accepted_and_its_predecessor_retired(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = eucom.own
    assert run("key", "add", eucom.config, "--lang", "en") == 0
    out, err = capsys.readouterr()
    kept, new = eucom.own
    assert kept == old
    assert (eucom.keys / f"{new.id}.pem").stat().st_mode & 0o777 == 0o600
    assert out.startswith(f"{new.id} (")
    assert f"keys_changed/{eucom.content.digest[:16]} --officer ID" in err
    assert f"deconflict key retire {eucom.config} {old.id}" in err
    assert states(eucom, capsys) == {old.id: "accepted", new.id: "not_read"}

    eucom.ran()
    assert states(eucom, capsys) == {old.id: "accepted", new.id: "waiting"}
    assert f"no officer here has accepted eucom/{new.id}" in refused(eucom, capsys, "key", "retire", old.id, "--yes")
    eucom.ran(officer="watch-1")
    rows = {row["id"]: row for row in shown(eucom, capsys)["keys"]}
    assert (rows[new.id]["state"], rows[new.id]["signs"], rows[old.id]["signs"]) == ("accepted", True, True)
    assert rows[old.id]["since"] < rows[new.id]["since"]

    assert run("key", "retire", eucom.config, old.id, "--yes", "--lang", "en") == 0
    err = capsys.readouterr().err
    assert f"this side signs with eucom/{new.id}" in err
    assert "is removed" not in err.replace("the private file is removed once", "")
    assert eucom.own == (new,)
    assert (eucom.keys / f"{old.id}.pem").exists()
    assert states(eucom, capsys) == {new.id: "accepted", old.id: "removal_not_read"}
    assert "no officer has acknowledged yet" in refused(eucom, capsys, "key", "retire", old.id, "--yes")
    eucom.ran()
    assert states(eucom, capsys) == {new.id: "accepted", old.id: "removed"}
    assert "no officer has acknowledged yet" in refused(eucom, capsys, "key", "retire", old.id, "--yes")
    assert shown(eucom, capsys)["in_no_link_file"][0]["retired"] is True

    eucom.ran(officer="watch-1")
    assert run("key", "retire", eucom.config, old.id, "--lang", "en") == 0
    assert capsys.readouterr().out == f"{old.id}: its private file in {eucom.keys} is removed\n"
    assert [path.name for path in eucom.keys.iterdir() if path.is_file()] == [f"{new.id}.pem"]


def test_a_link_that_never_started_changes_its_first_keys_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has agreed to anything yet: the first start takes the file as it is, and no private file waits."""
    place = Place(TwoSides(tmp_path / "s"))
    (old,) = place.own
    assert run("key", "add", place.config) == 0
    assert "deconflict link confirm" in capsys.readouterr().err
    assert set(states(place, capsys).values()) == {"first_start"}
    assert run("key", "retire", place.config, old.id, "--yes") == 0
    assert f"{old.id}: its private file in" in capsys.readouterr().err
    assert len(place.own) == 1
    assert old.id not in key_files.stored(place.keys)


def test_the_watch_rotates_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(TwoSides(tmp_path / "s"), "watch")
    place.ran()
    (old,) = place.own
    assert run("key", "add", place.config) == 0
    new = place.own[1]
    place.ran(officer="observer-1")
    assert states(place, capsys, "watch") == {old.id: "accepted", new.id: "accepted"}
    assert run("key", "retire", place.config, old.id, "--yes") == 0
    place.ran(officer="observer-1")
    assert run("key", "retire", place.config, old.id) == 0
    assert place.own == (new,)
    assert list(key_files.stored(place.keys)) == [new.id]


def test_several_links_change_together_unless_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = TwoSides(tmp_path / "s", "one", "two")
    config, keys = sides.config("eucom"), sides.config("eucom").parent / "keys"

    def own(link: str) -> list[str]:
        return [key.id for key in sides.content("eucom", f"{link}.toml").keys["eucom"]]

    (old,) = own("one")
    assert run("key", "add", config) == 0
    assert own("one") == own("two")
    new = own("one")[1]
    assert run("key", "retire", config, old, "--link", "one", "--yes") == 0
    assert (own("one"), own("two")) == ([new], [old, new])
    assert old in key_files.stored(keys), "another link signs with it"
    capsys.readouterr()
    assert run("key", "retire", config, old, "--link", "one", "--lang", "en") == 2
    assert "link two still has it; retire it there first: --link two" in capsys.readouterr().err
    assert run("key", "retire", config, old, "--yes") == 0
    assert own("two") == [new]
    assert list(key_files.stored(keys)) == [new]
    capsys.readouterr()
    assert run("key", "add", config, "--link", "two", "--lang", "en") == 0
    assert f"deconflict key retire {config} {new} --link two\n" in capsys.readouterr().err


def test_a_key_for_a_coming_suite_is_enrolled_ahead(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "add", eucom.config, "--algorithm", "ml-dsa-65") == 0
    assert [key.algorithm for key in eucom.own] == ["ed25519", "ml-dsa-65"]
    assert "key retire" not in capsys.readouterr().err, "it replaces nothing"


def test_records_of_every_key_verify_through_the_present_link_file(
    eucom: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """SPEC F5.4: two rotations later, the former link files lie beside the present one."""
    for _ in range(2):
        old = eucom.own[0]
        assert run("key", "add", eucom.config) == 0
        eucom.ran(officer="watch-1")
        assert run("key", "retire", eucom.config, old.id, "--yes") == 0
        eucom.ran(officer="watch-1")
        assert run("key", "retire", eucom.config, old.id) == 0
    journal, file = eucom.config.parent / "journal" / LINK, eucom.sides.file("eucom")
    assert [path.name for path in former(file, LINK)] == [f"{LINK}.000{n}.toml" for n in range(1, 5)]
    capsys.readouterr()
    assert run("log", "verify", journal, "--link-file", file, "--json") == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["problems"] == []
    assert verified["sealed_upto"] == verified["records"] - 1
    assert run("replay", journal) == 0

    capsys.readouterr()
    file.rename(file.with_name("moved-away.toml"))
    (file.parent / "former").rename(file.parent / "elsewhere")
    assert run("log", "verify", journal, "--link-file", file.with_name("moved-away.toml")) == 4


def test_a_revoked_key_of_the_peer_leaves_a_journal_that_verifies(
    eucom: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """The peer has no key at all between the acknowledgement and its next link file (SPEC F5.4)."""
    (theirs,) = eucom.content.keys["ndmc"]
    assert run("key", "revoke", eucom.config, f"ndmc/{theirs.id}", "--yes") == 0
    eucom.ran(officer="watch-1")
    eucom.ran()
    assert states(eucom, capsys, "ndmc") == {}
    journal, file = eucom.config.parent / "journal" / LINK, eucom.sides.file("eucom")
    assert run("log", "verify", journal) == 0
    assert run("log", "verify", journal, "--link-file", file) == 0
    assert run("replay", journal) == 0


# --- stolen keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_revoking_the_only_own_key_makes_another_in_the_same_act(
    eucom: Place, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = eucom.own
    assert run("key", "revoke", eucom.config, old.id, "--yes", "--lang", lang) == 0
    out, err = capsys.readouterr()
    (new,) = eucom.own
    assert new.id != old.id
    assert list(key_files.stored(eucom.keys)) == [new.id], "the stolen one signs nothing more"
    assert new.id in out
    assert old.public not in out + err
    assert {"en": "this side signs nothing until", "ru": "эта сторона ничего не подписывает"}[lang] in err
    eucom.ran()
    assert states(eucom, capsys) == {new.id: "waiting", old.id: "removed"}


def test_revoking_an_own_key_beside_another_leaves_no_silence(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = eucom.own
    assert run("key", "add", eucom.config) == 0
    eucom.ran(officer="watch-1")
    kept = eucom.own[1]
    capsys.readouterr()
    assert run("key", "revoke", eucom.config, f"eucom/{old.id}", "--yes", "--lang", "en") == 0
    assert f"this side signs with eucom/{kept.id}" in capsys.readouterr().err
    assert eucom.own == (kept,)
    assert list(key_files.stored(eucom.keys)) == [kept.id]


def test_a_stolen_key_of_the_peer_counts_no_more(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """SPEC F5.4: the peer is left without a key until it has handed over another."""
    (theirs,) = eucom.content.keys["ndmc"]
    rows = {row["id"]: row for row in shown(eucom, capsys)["keys"]}
    assert run("key", "revoke", eucom.config, rows[theirs.id]["digits"], "--yes", "--lang", "en") == 0
    assert "link eucom-ndmc: ndmc has no other accepted key" in capsys.readouterr().err
    assert eucom.content.keys["ndmc"] == ()
    assert states(eucom, capsys, "ndmc") == {theirs.id: "removal_not_read"}


def test_the_watch_is_left_without_its_stolen_key(eucom: Place) -> None:
    (key,) = eucom.content.watch_keys
    assert run("key", "revoke", eucom.config, f"watch/{key.id}", "--yes") == 0
    assert eucom.content.watch is None


def test_a_revocation_changes_the_prepared_epoch_as_well(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = eucom.own
    prepared = link_file.next_path(eucom.sides.file("eucom"))
    link_file.save(with_policy(eucom.content, 2, grace_s=60), prepared)
    for words in (("key", "add"), ("key", "retire", old.id, "--yes")):
        assert "the next epoch of link eucom-ndmc is prepared" in refused(eucom, capsys, *words)
    assert run("key", "revoke", eucom.config, old.id, "--yes", "--lang", "en") == 0
    assert "compare it again by voice before its epoch" in capsys.readouterr().err
    assert link_file.load(prepared).keys["eucom"] == eucom.own


def test_an_interrupted_revocation_is_finished(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash left the private file of a key that no link file names any more."""
    (old,) = eucom.own
    new = key_files.stored(eucom.keys)[old.id]
    left = with_keys(eucom.content, eucom=(fresh_key(eucom.sides.folder / "k", "next"),))
    link_file.save(left, eucom.sides.file("eucom"))
    assert run("key", "revoke", eucom.config, new.id, "--yes", "--lang", "en") == 0
    assert f"{old.id}: its private file in" in capsys.readouterr().out
    assert key_files.stored(eucom.keys) == {}


def test_revoking_a_key_whose_retirement_waits_says_so_and_asks(
    eucom: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other side takes its frames until it has accepted that it was retired."""
    (old,) = eucom.own
    assert run("key", "add", eucom.config) == 0
    eucom.ran(officer="watch-1")
    assert run("key", "retire", eucom.config, old.id, "--yes") == 0
    eucom.ran()
    capsys.readouterr()
    assert run("key", "revoke", eucom.config, old.id, "--lang", "en") == 2
    assert old.id in key_files.stored(eucom.keys)
    assert run("key", "revoke", eucom.config, old.id, "--yes", "--lang", "en") == 0
    err = capsys.readouterr().err
    assert "a holder of the private file can sign as eucom" in err
    assert f"this side signs with eucom/{eucom.own[0].id}" in err
    assert f"everybody else revokes it at once: deconflict key revoke CONFIG eucom/{old.id}" in err
    assert old.id not in key_files.stored(eucom.keys)


def test_a_revoked_key_of_the_peer_does_not_come_back_unsaid(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """SPEC F5.4: it counts as soon as the file has it, until an officer acknowledges that it was removed."""
    before = eucom.sides.hand_over(eucom.content)
    (theirs,) = eucom.content.keys["ndmc"]
    assert run("key", "revoke", eucom.config, f"ndmc/{theirs.id}", "--yes") == 0
    eucom.ran()
    capsys.readouterr()
    assert run("link", "accept", eucom.config, before, "--lang", "en") == 2
    err = capsys.readouterr().err
    assert f"!!! ndmc/{theirs.id} " in err
    assert "counts again at once, and no words are asked !!!" in err
    assert run("link", "accept", eucom.config, before, "--yes", "--lang", "en") == 0
    # which is true: there is nothing to acknowledge
    assert "Added keys verify nothing" not in capsys.readouterr().err
    eucom.ran()
    assert states(eucom, capsys, "ndmc") == {theirs.id: "accepted"}


def test_a_watch_that_never_started_is_not_told_to_confirm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(TwoSides(tmp_path / "s"), "watch")
    assert run("key", "add", place.config, "--lang", "en") == 0
    err = capsys.readouterr().err
    assert f"deconflict link fingerprint {place.sides.file('watch')} --compare" in err
    assert "link confirm" not in err


# --- what is refused, in one line, with nothing changed ---------------------------------------------------------------


def test_the_only_key_is_not_retired(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = eucom.own
    assert "the only ed25519 key of this side in link eucom-ndmc" in refused(
        eucom, capsys, "key", "retire", old.id, "--yes"
    )


def test_a_key_whose_private_half_is_elsewhere_does_not_replace_another(
    eucom: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = eucom.own
    far = fresh_key(eucom.sides.folder / "k", "far")
    link_file.save(with_keys(eucom.content, eucom=(old, far)), eucom.sides.file("eucom"))
    eucom.ran(officer="watch-1")
    line = refused(eucom, capsys, "key", "retire", old.id, "--yes")
    assert "the private file of eucom/far is not in" in line


def test_a_ninth_key_is_refused(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """SPEC F5.2."""
    more = tuple(fresh_key(eucom.sides.folder / f"k{n}", f"next-{n}") for n in range(7))
    link_file.save(with_keys(eucom.content, eucom=(*eucom.own, *more)), eucom.sides.file("eucom"))
    assert "eucom has 8 keys, and 8 are the most" in refused(eucom, capsys, "key", "add")


@pytest.mark.parametrize("command", ["retire", "revoke"])
def test_without_a_terminal_an_act_needs_consent(
    eucom: Place, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = eucom.own
    assert run("key", "add", eucom.config) == 0
    eucom.ran(officer="watch-1")
    before = everything(eucom.sides.folder)
    capsys.readouterr()
    assert run("key", command, eucom.config, old.id, "--lang", "en") == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("what is shown is done with --yes")
    assert everything(eucom.sides.folder) == before


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("key", "retire", "nobody", "--yes"), "'nobody': no key of this side; its keys are eucom/ed25519-"),
        (("key", "revoke", "nobody", "--yes"), "'nobody': no such key in the link files; they have eucom/ed25519-"),
        (("key", "revoke", "a\nb\x1b[2J", "--yes"), r"'a\nb\x1b[2J': no such key"),
        (("key", "add", "--link", "other"), "no link 'other' here; links: eucom-ndmc"),
        (("key", "add", "--algorithm", "rsa"), "--algorithm"),
    ],
)
def test_a_wrong_argument_is_one_line(
    eucom: Place, words: tuple[str, ...], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrong in refused(eucom, capsys, *words)


def test_one_id_of_two_parties_must_be_named_with_its_party(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (old,), (theirs,) = eucom.own, eucom.content.keys["ndmc"]
    link_file.save(with_keys(eucom.content, ndmc=(structs.replace(theirs, id=old.id),)), eucom.sides.file("eucom"))
    line = refused(eucom, capsys, "key", "revoke", old.id, "--yes")
    assert f"names several keys; name one: eucom/{old.id} " in line
    assert f"ndmc/{old.id} " in line
    assert run("key", "revoke", eucom.config, f"ndmc/{old.id}", "--yes") == 0


def test_the_peer_s_key_ids_cannot_imitate_a_row(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    forged = "x\n  eucom/ed25519-good  0123456789abcdef  ed25519\u202e"
    (theirs,) = eucom.content.keys["ndmc"]
    link_file.save(with_keys(eucom.content, ndmc=(structs.replace(theirs, id=forged),)), eucom.sides.file("eucom"))
    capsys.readouterr()
    assert run("key", "show", eucom.config, "--lang", "en") == 0
    out = capsys.readouterr().out
    assert "ndmc/x???eucom?ed25519-good??0123456789abcdef??ed25519?  " in out
    assert run("key", "revoke", eucom.config, "ndmc/x???eucom?ed25519-good??0123456789abcdef??ed25519?", "--yes") == 0


def test_files_that_cannot_be_written_change_nothing(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder lies where the new file would be written."""
    (eucom.config.parent / f".link.toml.{os.getpid()}.new").mkdir()
    line = refused(eucom, capsys, "key", "add")
    assert "cannot be written" in line


def test_what_is_no_private_key_is_one_line(eucom: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = eucom.keys / "broken.pem"
    path.touch(0o600)
    assert "broken.pem: not a private key in PEM" in refused(eucom, capsys, "key", "show")


def test_link_files_that_another_command_has_changed_are_left(tmp_path: Path) -> None:
    """Of two commands at once neither undoes the other's change."""
    sides = TwoSides(tmp_path / "s")
    found = settings.load_endpoint(sides.config("eucom"))
    links, change = keyed_links(found, None), LinkFileChange()
    ours, theirs = (with_keys(sides.content("eucom"), eucom=(fresh_key(tmp_path / name, name),)) for name in ("a", "b"))
    link_file.save(theirs, sides.file("eucom"))
    with pytest.raises(UserError, match=r"link\.toml: was changed meanwhile; repeat the command"):
        change.replace(links, {sides.file("eucom"): ours})
    assert sides.content("eucom") == theirs

    links = keyed_links(settings.load_endpoint(sides.config("eucom")), None)
    change.replace(links, {sides.file("eucom"): ours})
    link_file.save(theirs, sides.file("eucom"))
    change.undo()
    assert sides.content("eucom") == theirs
