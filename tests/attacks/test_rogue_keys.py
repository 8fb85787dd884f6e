"""A key that somebody writes into one side's link file, and journals that let such a key count too early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from endpoints.config.link_file import LinkFile
from endpoints.journal.segments import segments
from endpoints.keys.signer import Signer
from protocol.core.alarms import AlarmCode
from protocol.core.events import AlarmAcknowledged, BatchClosed, FrameReceived
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import KeysChanged, KeysEnrolled
from protocol.errors import JournalError, LocalProtocolError
from protocol.record.journal import Checkpoint, Entry, Record, encode
from protocol.wire.words import FINGERPRINT_WORDS, WORDS, fingerprint_words
from tests.attacks.forge import records, signer_of
from tests.attacks.scene import ROGUE, Scene, arrives, end_of_batch, enrols, inserted, invented, last, with_keys
from tests.golden.cases import Run
from tests.golden.continuing import deconflict
from tests.support.exchange import Exchange, words_asked
from tests.support.world import MINUTE, Frame

MORNING = 1_669_708_740_000
OWN_NEW = Signer({"eucom-new": Ed25519PrivateKey.from_private_bytes(bytes([31]) * 32)})
PEER_NEW = Signer({"ndmc-new": Ed25519PrivateKey.from_private_bytes(bytes([32]) * 32)})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def exchange(scene: Scene, **options: Any) -> Exchange:
    """Return a running exchange on the scene's journals."""
    made = Exchange(scene.folder / "journal", scene.file, at=MORNING, **options)
    made.open()
    made.start()
    return made


def restart(line: Exchange, side: str, file: LinkFile, signer: Signer | None = None) -> None:
    """Stop an end, give it another link file, and start it again."""
    end = line.ends[side]
    end.stop()
    end.file = file
    if signer is not None:
        end._signer = signer
    end.restart()
    line.settle()


def beside(scene: Scene, party: str = "ndmc") -> LinkFile:
    """Return the link file with a rogue key beside the true one of a party."""
    return with_keys(scene.file, **{party: (*scene.file.keys[party], *ROGUE.enrolled)})


def replaced(scene: Scene, party: str = "ndmc", signer: Signer = ROGUE) -> LinkFile:
    """Return the link file with another key in place of the true one of a party."""
    return with_keys(scene.file, **{party: signer.enrolled})


def alarms(line: Exchange, side: str) -> list[Any]:
    """Return the active alarms about changed keys."""
    return [
        each for each in line.ends[side].core.snapshot().alarms if each.code == AlarmCode.KEYS_CHANGED and each.active
    ]


def attack(line: Exchange, side: str, sender: str = "ndmc", signer: Signer = ROGUE) -> str:
    """Let an invented alert of `sender` arrive; return the verdict in the journal."""
    end = line.ends[side]
    end.receive(Frame(sender, "message", invented(end.core, sender, signer, end.at)))
    end.turn()
    verdict: str = last(records(end.folder), FrameReceived).entry.verdict  # type: ignore[union-attr]
    return verdict


def acknowledge(line: Exchange, side: str, **fields: Any) -> str:
    (alarm,) = alarms(line, side)
    return line.ask(side, AlarmAcknowledged, code="keys_changed", **({"subject": alarm.subject} | fields))


def kinds(line: Exchange, side: str, kind: type[Entry]) -> list[Any]:
    return [each.entry for each in records(line.ends[side].folder) if isinstance(each.entry, kind)]


def problems(run: Run) -> dict[int, str]:
    return {problem["record"]: problem["reason"] for problem in run.document["problems"]}


# --- the live endpoint --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["eucom", "watch"])
def test_an_extra_key_verifies_nothing_until_an_officer_accepts_it(scene: Scene, side: str) -> None:
    line = exchange(scene)
    file = beside(scene)
    restart(line, side, file)
    (changed,) = kinds(line, side, KeysChanged)
    assert (changed.keys, changed.digest) == (file.keys, file.digest)
    assert len(kinds(line, side, KeysEnrolled)) == 1
    (alarm,) = alarms(line, side)
    assert (alarm.severity, alarm.subject) == ("critical", file.digest[:16])
    assert "added ndmc/rogue (" in alarm.detail
    assert "removed none" in alarm.detail
    assert attack(line, side) == "bad_signature"
    # the true key still counts
    reference = line.delivered("ndmc")
    assert line.ends[side].core.snapshot().alerts[-1].reference == reference
    line.accept_keys(side)
    assert alarms(line, side) == []
    assert attack(line, side) == "verified"


def test_the_alarm_shows_all_words_but_those_that_it_asks_for(scene: Scene) -> None:
    line = exchange(scene)
    file = beside(scene)
    places = set()
    for _ in range(40):
        restart(line, "eucom", file)
        (alarm,) = alarms(line, "eucom")
        places.add(alarm.words_from)
        for language in WORDS:
            words = fingerprint_words(file.digest, language)
            asked = range(alarm.words_from - 1, alarm.words_from + 2)
            shown = alarm.detail.partition(f"{language}: ")[2].partition(";")[0].split()
            assert len(shown) == FINGERPRINT_WORDS
            assert [word for word in shown if not word.startswith("[")] == [
                word for place, word in enumerate(words) if place not in asked
            ]
        restart(line, "eucom", scene.file)
    # chosen by chance, each time
    assert places <= set(range(1, FINGERPRINT_WORDS - 1))
    assert len(places) > 5


@pytest.mark.parametrize("language", ["en", "ru"])
def test_wrong_words_accept_nothing(scene: Scene, language: str) -> None:
    line = exchange(scene)
    file = beside(scene)
    restart(line, "eucom", file)
    (alarm,) = alarms(line, "eucom")
    right = words_asked(file, alarm.words_from, language)
    before = line.eucom.core.checkpoint()
    wrong: list[dict[str, Any]] = [
        {},
        {"words": (right[1], right[0], right[2])},
        {"words": words_asked(scene.file, alarm.words_from, language)},
        {"words": (right[0], right[1], words_asked(file, alarm.words_from, "ru" if language == "en" else "en")[2])},
    ]
    for fields in wrong:
        with pytest.raises(LocalProtocolError, match="as the other side reads them") as refused:
            acknowledge(line, "eucom", **fields)
        assert refused.value.code == "wrong_words"
        assert line.eucom.core.checkpoint() == before
    acknowledge(line, "eucom", words=right)
    assert alarms(line, "eucom") == []
    assert line.eucom.core.keys == LinkKeys(file.keys)
    # cleared and acknowledged: no longer listed
    assert [each for each in line.eucom.core.snapshot().alarms if each.code == AlarmCode.KEYS_CHANGED] == []


def test_words_for_an_alarm_that_asks_for_none_are_refused(scene: Scene) -> None:
    line = exchange(scene)
    restart(line, "eucom", beside(scene))
    (alarm,) = alarms(line, "eucom")
    restart(line, "eucom", scene.file)
    words = words_asked(beside(scene), alarm.words_from)
    with pytest.raises(LocalProtocolError, match="asks for no words") as refused:
        line.ask("eucom", AlarmAcknowledged, code="keys_changed", subject=alarm.subject, words=words)
    assert refused.value.code == "wrong_words"
    line.ask("eucom", AlarmAcknowledged, code="keys_changed", subject=alarm.subject)
    assert not line.eucom.core.snapshot().alarms


def test_a_key_swapped_for_a_minute_and_back(scene: Scene) -> None:
    line = exchange(scene)
    restart(line, "eucom", replaced(scene))
    reference = line.delivered("ndmc")
    assert last(records(line.eucom.folder), FrameReceived).entry.verdict == "bad_signature"  # type: ignore[union-attr]
    assert attack(line, "eucom") == "bad_signature"
    line.run(MINUTE)
    restart(line, "eucom", scene.file)
    # the alarm is over, and stays listed until an officer has seen it
    assert alarms(line, "eucom") == []
    assert any(each.code == AlarmCode.KEYS_CHANGED for each in line.eucom.core.snapshot().alarms)
    line.run(3 * MINUTE)
    assert line.eucom.core.snapshot().alerts[-1].reference == reference
    line.stop()
    for side in ("eucom", "ndmc", "watch"):
        assert scene.verify(f"journal/{side}").exit == 0
    assert scene.reconcile("journal/eucom", "journal/ndmc").exit == 0


def test_a_further_change_replaces_the_one_that_waits(scene: Scene) -> None:
    line = exchange(scene)
    first, second = beside(scene), replaced(scene, signer=PEER_NEW)
    restart(line, "eucom", first)
    (alarm,) = alarms(line, "eucom")
    stale = {"subject": alarm.subject, "words": words_asked(first, alarm.words_from)}
    restart(line, "eucom", second)
    (newer,) = alarms(line, "eucom")
    assert newer.subject == second.digest[:16]
    with pytest.raises(LocalProtocolError):
        acknowledge(line, "eucom", **stale)
    line.accept_keys("eucom")
    assert line.eucom.core.keys.accepted == second.keys
    # a key that people have taken away needs their consent to come back
    restart(line, "eucom", scene.file)
    assert len(alarms(line, "eucom")) == 1
    assert line.eucom.core.keys.accepted["ndmc"] == ()


def test_a_change_of_the_file_beside_the_keys_asks_for_the_new_fingerprint(scene: Scene) -> None:
    line = exchange(scene)
    file = beside(scene)
    restart(line, "eucom", file)
    parties = {name: structs.replace(party, site="Elsewhere") for name, party in file.parties.items()}
    moved = structs.replace(file, parties=parties)
    restart(line, "eucom", moved)
    (alarm,) = alarms(line, "eucom")
    assert alarm.subject == moved.digest[:16]
    restart(line, "eucom", moved)
    assert len(kinds(line, "eucom", KeysChanged)) == 2


def test_a_removed_key_stops_at_once(scene: Scene) -> None:
    scene.file = with_keys(scene.file, ndmc=(*scene.file.keys["ndmc"], *ROGUE.enrolled))
    line = exchange(scene)
    assert attack(line, "eucom") == "verified"
    restart(line, "eucom", with_keys(scene.file, ndmc=scene.file.keys["ndmc"][:1]))
    assert attack(line, "eucom") == "bad_signature"
    assert "removed ndmc/rogue (" in alarms(line, "eucom")[0].detail
    line.accept_keys("eucom")
    assert attack(line, "eucom") == "bad_signature"


def test_a_new_epoch_enrols_the_keys_that_waited(scene: Scene) -> None:
    line = exchange(scene)
    file = beside(scene)
    restart(line, "eucom", file)
    restart(line, "eucom", structs.replace(file, terms=structs.replace(file.terms, epoch=2)))
    assert alarms(line, "eucom") == []
    assert line.eucom.core.keys == LinkKeys(file.keys)


@pytest.mark.parametrize("keys", ["of the file before", "of the change"])
def test_a_new_epoch_ends_a_change(scene: Scene, keys: str) -> None:
    line = exchange(scene)
    restart(line, "eucom", beside(scene))
    file = scene.file if keys == "of the file before" else beside(scene)
    restart(line, "eucom", structs.replace(file, terms=structs.replace(file.terms, epoch=2)))
    assert alarms(line, "eucom") == []
    assert line.eucom.core.keys == LinkKeys(file.keys)


def test_a_hostile_key_id_stays_one_plain_word(scene: Scene) -> None:
    line = exchange(scene)
    hostile = structs.replace(ROGUE.enrolled[0], id="x\x1b[2J\n; removed none; \u202e" + "y" * 30)
    restart(line, "eucom", with_keys(scene.file, ndmc=(*scene.file.keys["ndmc"], hostile)))
    assert "added ndmc/x??2J???removed?none???yyyy" in alarms(line, "eucom")[0].detail


def test_many_keys_are_counted(scene: Scene) -> None:
    many = [Signer({f"k-{n}": Ed25519PrivateKey.from_private_bytes(bytes([100 + n]) * 32)}).enrolled for n in range(14)]
    keys = {"ndmc": sum(many[:7], scene.file.keys["ndmc"]), "eucom": sum(many[7:], scene.file.keys["eucom"])}
    line = exchange(scene)
    restart(line, "eucom", with_keys(scene.file, **keys))
    assert " and 6 more; removed none" in alarms(line, "eucom")[0].detail


# --- nothing is lost ----------------------------------------------------------------------------------------------


def test_nothing_is_lost_while_the_peers_new_key_waits(scene: Scene) -> None:
    """The peer signs with a new key. Its frames are refused until an officer accepts it; then resending brings all."""
    line = exchange(scene)
    file = replaced(scene, signer=PEER_NEW)
    restart(line, "ndmc", file, PEER_NEW)
    line.accept_keys("ndmc")
    restart(line, "eucom", file)
    restart(line, "watch", file)
    references = [line.delivered("ndmc") for _ in range(12)]
    line.run(5 * MINUTE)
    assert line.eucom.core.snapshot().alerts == ()
    line.accept_keys("eucom", "watch")
    line.run(10 * MINUTE)
    assert [each.reference for each in line.eucom.core.snapshot().alerts] == references
    ours = line.ndmc.core.snapshot().ours
    assert ours is not None
    assert (ours.in_flight, ours.waiting) == (0, 0)
    line.stop()
    scene.save("second.toml", file)
    both = ("--link-file", "link.toml", "--link-file", "second.toml")
    for side in ("eucom", "ndmc", "watch"):
        assert problems(scene.verify(f"journal/{side}", *both)) == {}
        assert problems(scene.verify(f"journal/{side}", "--lang", "en")) == {}
    assert scene.reconcile("journal/eucom", "journal/ndmc", "--link-file", "second.toml").exit == 0


def test_frames_under_our_old_key_are_signed_again(scene: Scene) -> None:
    """Our key is replaced while the peer has not receipted what it signed; the peer accepts only the new key."""
    line = exchange(scene)
    line.ends["ndmc"].stop()
    references = [line.alert("eucom", text={"ru": f"{n}", "en": f"{n}"}) for n in range(10)]
    line.settle()
    line.run(MINUTE)
    file = replaced(scene, "eucom", OWN_NEW)
    restart(line, "eucom", file, OWN_NEW)
    # nothing is signed with a key that no officer has accepted: no frame, no head
    references.append(line.alert("eucom"))
    line.run(2 * MINUTE)
    closed = kinds(line, "eucom", BatchClosed)
    changed = [each.entry for each in records(line.eucom.folder)].index(kinds(line, "eucom", KeysChanged)[0])
    after = [each.entry for each in records(line.eucom.folder)][changed:]
    assert not any(each.frames for each in after if isinstance(each, BatchClosed))
    assert any(each.frames for each in closed)
    line.ends["ndmc"].file = file
    line.ends["ndmc"].restart()
    line.accept_keys("ndmc")
    line.run(MINUTE)
    assert line.ndmc.core.snapshot().alerts == ()
    line.accept_keys("eucom")
    line.run(10 * MINUTE)
    assert [each.reference for each in line.ndmc.core.snapshot().alerts] == references
    line.accept_keys("watch")
    line.stop()
    scene.save("second.toml", file)
    both = ("--link-file", "link.toml", "--link-file", "second.toml")
    for side in ("eucom", "ndmc"):
        assert problems(scene.verify(f"journal/{side}", *both)) == {}
    assert scene.reconcile("journal/eucom", "journal/ndmc", "--link-file", "second.toml").exit == 0


def test_our_key_replaced_and_put_back(scene: Scene) -> None:
    line = exchange(scene)
    line.ends["ndmc"].stop()
    reference = line.alert("eucom")
    line.settle()
    restart(line, "eucom", replaced(scene, "eucom", OWN_NEW), OWN_NEW)
    restart(line, "eucom", scene.file, signer_of("eucom"))
    line.ends["ndmc"].restart()
    line.run(3 * MINUTE)
    assert [each.reference for each in line.ndmc.core.snapshot().alerts] == [reference]
    line.stop()
    assert problems(scene.verify("journal/eucom")) == {}


# --- the journal --------------------------------------------------------------------------------------------------


def waiting(scene: Scene) -> tuple[list[Record], int]:
    """Play a line on which a rogue key waits for ten minutes; return eucom's journal and a record in that time."""
    line = exchange(scene)
    restart(line, "eucom", beside(scene))
    line.delivered("ndmc")
    line.run(10 * MINUTE)
    line.stop()
    scene.save("extra.toml", beside(scene))
    journal = scene.records("eucom")
    return journal, end_of_batch(journal, last(journal, FrameReceived))


def test_an_honest_journal_with_a_change_that_waits_is_intact(scene: Scene) -> None:
    waiting(scene)
    for words in ((), ("--lang", "en"), ("--link-file", "link.toml", "--link-file", "extra.toml")):
        assert problems(scene.verify("journal/eucom", *words)) == {}
    assert scene.reconcile("journal/eucom", "journal/ndmc").exit == 0


def test_a_change_that_waits_in_the_checkpoint_that_a_journal_begins_with(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    line = exchange(scene, segment_bytes=4_000)
    restart(line, "eucom", beside(scene))
    for _ in range(6):
        line.delivered("ndmc")
        line.run(MINUTE)
    line.stop()
    segment = segments(tmp_path / "journal" / "eucom")[-1]
    first = next(each for each in scene.records("eucom") if each.n == int(segment.stem))
    assert isinstance(first.entry, Checkpoint)
    assert b'"pending":{"keys"' in bytes(first.entry.state)
    for words in (("--lang", "en"), ("--link-file", "link.toml")):
        assert problems(scene.verify(str(segment), *words)) == {}


def test_a_change_with_a_nonce_that_no_service_draws_is_no_record(scene: Scene) -> None:
    journal, _ = waiting(scene)
    changed = next(each for each in journal if isinstance(each.entry, KeysChanged))
    assert isinstance(changed.entry, KeysChanged)
    entry = structs.replace(changed.entry, nonce="not a number")
    with pytest.raises(JournalError, match="could not be read again"):
        encode(changed.n, changed.link, changed.side, changed.batch, entry, changed.effects, changed.prev)


@pytest.mark.parametrize("judged", ["by itself", "under the first file", "under the changed file", "under both"])
def test_a_key_that_verifies_before_it_was_accepted(scene: Scene, judged: str) -> None:
    _, place = waiting(scene)

    def make(record: Record, core: Any) -> Iterator[Entry]:
        yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))

    forged = scene.forged("eucom", inserted(place, make))
    first, extra = ("--link-file", "link.toml"), ("--link-file", "extra.toml")
    words = {
        "by itself": ("--lang", "en"),
        "under the first file": first,
        "under the changed file": extra,
        "under both": first + extra,
    }[judged]
    run = scene.verify(forged, *words)
    assert (run.exit, set(problems(run))) == (4, {place})
    assert "the frame is bad_signature" in problems(run)[place]


def test_a_key_enrolled_live(scene: Scene) -> None:
    journal, _ = waiting(scene)
    place = journal[-3].n
    place = end_of_batch(journal, next(each for each in journal if each.n >= place))

    def make(record: Record, core: Any) -> Iterator[Entry]:
        yield enrols(record, beside(scene).keys)
        yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))

    found = problems(scene.verify(scene.forged("eucom", inserted(place, make)), "--lang", "en"))
    assert deconflict(scene.folder, ["replay", "forged/eucom", "--json"]).exit == 5
    assert found == {place: "it enrols keys without a new epoch: changed keys count once an officer has accepted them"}


def test_a_rogue_key_that_the_journal_says_an_officer_accepted(scene: Scene) -> None:
    """The forger knows the words of their own file. Under the link files that both sides agreed to, nothing counts."""
    journal, _ = waiting(scene)
    place = next(each.n for each in journal if isinstance(each.entry, KeysChanged))
    place = end_of_batch(journal, next(each for each in journal if each.n > place))
    file = beside(scene)

    def make(record: Record, core: Any) -> Iterator[Entry]:
        change = core.keys.pending
        yield accepts(record, file, words_asked(file, change.words_from))
        yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))

    found = problems(scene.verify(scene.forged("eucom", inserted(place, make))))
    assert "it enrols keys that are not those of the link file link.toml" in found[place]
    assert "bad_signature" in found[place + 1]


def test_an_enrolment_in_place_of_the_change(scene: Scene) -> None:
    journal, _ = waiting(scene)
    place = next(each.n for each in journal if isinstance(each.entry, KeysChanged))

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        yield enrols(record, beside(scene).keys) if record.n == place else record.entry

    assert set(problems(scene.verify(scene.forged("eucom", edit), "--lang", "en"))) == {place}


def test_keys_changed_without_a_start(scene: Scene) -> None:
    """SPEC E1.6: a forger lets a key count for a minute with an acknowledgement of its own."""
    journal, place = waiting(scene)
    change = next(each.entry for each in journal if isinstance(each.entry, KeysChanged))
    file = replaced(scene)

    def make(record: Record, core: Any) -> Iterator[Entry]:
        yield structs.replace(
            change, at=record.entry.at, mono=record.entry.mono, keys=file.keys, digest=file.digest, nonce="0" * 16
        )
        yield accepts(record, file, words_asked(file, 1))
        yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))

    found = problems(scene.verify(scene.forged("eucom", inserted(place, make)), "--lang", "en"))
    assert found == {place + 1: f"record {place}, KeysChanged, is written only at a start, and no start follows it"}


def accepts(record: Record, file: LinkFile, words: tuple[str, str, str], officer: str = "watch-1") -> AlarmAcknowledged:
    return AlarmAcknowledged(
        at=record.entry.at,
        mono=record.entry.mono,
        request="forged-1",
        officer=officer,
        code="keys_changed",
        subject=file.digest[:16],
        words=words,
    )


def test_keys_accepted_with_wrong_words(scene: Scene) -> None:
    """A service without the check writes an acknowledgement that accepts the key."""
    _, place = waiting(scene)
    file = beside(scene)

    def make(record: Record, core: Any) -> Iterator[Entry]:
        # as if nothing were to be compared
        core.state.keys = LinkKeys(file.keys)
        yield accepts(record, file, ("acorn", "acorn", "acorn"))
        yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))

    found = problems(scene.verify(scene.forged("eucom", inserted(place, make)), "--lang", "en"))
    assert set(found) == {place, place + 1}
    assert found[place] == "it accepts changed keys with other words than those of the fingerprint"
    assert "bad_signature" in found[place + 1]


def test_our_own_frames_under_a_key_that_waits(scene: Scene) -> None:
    """A forger signs our own frames with a key that no officer has accepted."""
    line = exchange(scene)
    restart(line, "eucom", beside(scene, "eucom"))
    line.delivered("eucom")
    line.run(MINUTE)
    line.stop()
    journal = scene.records("eucom")
    changed = next(each.n for each in journal if isinstance(each.entry, KeysChanged))
    found = problems(scene.verify(scene.forged("eucom", lambda record, _core: (record.entry,), ROGUE), "--lang", "en"))
    sealed = [each.n for each in journal if isinstance(each.entry, BatchClosed) and each.entry.frames]
    assert {n for n in sealed if n > changed} <= set(found)
