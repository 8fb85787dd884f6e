"""A journal with messages that the other side never sent: under a key that only the journal enrols, or an old key.

With the link files given, a frame counts only under their keys, whatever the journal enrols.
"""

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
from protocol.core.events import FrameReceived
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import KeysEnrolled
from protocol.record.journal import Checkpoint, Entry, Record
from tests.attacks.forge import signer_of
from tests.attacks.scene import (
    ROGUE,
    Scene,
    arrives,
    end_of_batch,
    enrols,
    inserted,
    invented,
    last,
    name_of,
    with_keys,
    without,
)
from tests.golden.cases import Run
from tests.support.exchange import Exchange
from tests.support.world import MINUTE
from tests.vectors.terms import KEYS, enrolled

OWN = Signer({"rogue-own": KEYS["stranger"][1]})


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


def reasons(run: Run) -> dict[int, str]:
    assert run.exit == 4, run
    return {problem["record"]: problem["reason"] for problem in run.document["problems"]}


def other(side: str) -> str:
    return "ndmc" if side == "eucom" else "eucom"


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
@pytest.mark.parametrize("beside", [False, True], ids=["in place of the true key", "beside the true key"])
def test_an_alert_under_a_key_enrolled_for_a_minute(scene: Scene, side: str, beside: bool) -> None:
    peer, keys = other(side), scene.file.keys
    rogue = keys | {peer: (*(keys[peer] if beside else ()), *ROGUE.enrolled)}
    journal = scene.records(side)
    place = end_of_batch(journal, last(journal, FrameReceived))

    def make(record: Record, core: Any) -> Iterator[Entry]:
        yield enrols(record, rogue)
        yield arrives(record, peer, invented(core, peer, ROGUE, record.entry.at))
        yield enrols(record, keys)

    found = reasons(scene.verify(scene.forged(side, inserted(place, make))))
    assert set(found) == {place, place + 1, place + 2}
    assert f"{peer}/rogue" in found[place]
    assert "not those of the link file link.toml" in found[place]
    assert found[place + 1] == "the verdict says verified, but the frame is bad_signature under the link file link.toml"


@pytest.mark.parametrize("party", ["eucom", "ndmc"])
def test_the_watch_invents_an_alert_of_either_side(scene: Scene, party: str) -> None:
    journal = scene.records("watch")
    place = end_of_batch(journal, last(journal, FrameReceived))

    def make(record: Record, core: Any) -> Iterator[Entry]:
        yield enrols(record, scene.file.keys | {party: ROGUE.enrolled})
        yield arrives(record, party, invented(core, party, ROGUE, record.entry.at))
        yield enrols(record, scene.file.keys)

    assert set(reasons(scene.verify(scene.forged("watch", inserted(place, make))))) == {place, place + 1, place + 2}


def test_a_rogue_key_from_the_beginning(scene: Scene) -> None:
    keys = scene.file.keys | {"ndmc": (*scene.file.keys["ndmc"], *ROGUE.enrolled)}

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n == place:
            yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))
        yield structs.replace(record.entry, keys=keys) if isinstance(record.entry, KeysEnrolled) else record.entry

    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))
    assert set(reasons(scene.verify(scene.forged("eucom", edit)))) == {2, place}


def test_a_rogue_key_that_only_a_checkpoint_names(tmp_path: Path) -> None:
    scene = Scene.of_a_day(tmp_path, segment_bytes=4_000)
    journal = scene.records("eucom")
    checkpoint = next(record for record in journal if isinstance(record.entry, Checkpoint))
    place = end_of_batch(journal, last(journal, FrameReceived))
    keys = scene.file.keys

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n == checkpoint.n:
            core.state.keys = LinkKeys(keys | {"ndmc": (*keys["ndmc"], *ROGUE.enrolled)})
        if record.n == place:
            yield arrives(record, "ndmc", invented(core, "ndmc", ROGUE, record.entry.at))
        yield record.entry

    found = reasons(scene.verify(scene.forged("eucom", edit)))
    assert "its state names other terms or keys than the records before it" in found[checkpoint.n]
    assert "ndmc/rogue" in found[checkpoint.n]
    assert "bad_signature" in found[place]
    # the checkpoint is named without a link file too
    assert checkpoint.n in reasons(scene.verify("forged/eucom", "--lang", "en"))


def test_a_journal_that_begins_at_a_checkpoint_with_a_rogue_key(tmp_path: Path) -> None:
    scene = Scene.of_a_day(tmp_path, segment_bytes=4_000)
    keys = scene.file.keys | {"ndmc": (*scene.file.keys["ndmc"], *ROGUE.enrolled)}

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        core.state.keys = LinkKeys(keys)
        yield record.entry

    scene.forged("eucom", edit)
    segment = segments(tmp_path / "forged" / "eucom")[-1]
    found = reasons(scene.verify(str(segment)))
    assert "ndmc/rogue" in found[int(segment.stem)]


def test_our_own_side_signs_with_a_key_of_no_link_file(scene: Scene) -> None:
    keys = scene.file.keys | {"eucom": OWN.enrolled}

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        yield structs.replace(record.entry, keys=keys) if isinstance(record.entry, KeysEnrolled) else record.entry

    run = scene.verify(scene.forged("eucom", edit, OWN))
    found = reasons(run)
    assert "eucom/rogue-own" in found[2]
    assert [reason for reason in found.values() if "our own frame 0 does not verify under the link file" in reason]
    assert [reason for reason in found.values() if "signed head does not vouch" in reason]
    assert run.document["sealed_upto"] == 0


def test_a_journal_that_enrols_no_key(scene: Scene) -> None:
    forged = scene.forged("eucom", without(lambda record: isinstance(record.entry, KeysEnrolled)))
    assert scene.verify(forged).document["judged_under"][0]["not_enrolled"] == [
        name_of(party, enrolled(party)) for party in ("eucom", "ndmc")
    ]
    # without a link file nothing shows that its frames are anybody's
    assert scene.verify(forged, "--lang", "en").exit == 4


def test_a_true_frame_refused_under_a_rogue_key(scene: Scene) -> None:
    """The other side's last alert becomes a frame with a bad signature."""
    journal = scene.records("eucom")
    place = last([each for each in journal if getattr(each.entry, "channel", "") == "message"], FrameReceived).n

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        if record.n != place:
            yield record.entry
            return
        yield enrols(record, scene.file.keys | {"ndmc": ROGUE.enrolled})
        yield structs.replace(record.entry, verdict="bad_signature")
        yield enrols(record, scene.file.keys)

    found = reasons(scene.verify(scene.forged("eucom", edit)))
    assert set(found) == {place, place + 1, place + 2}
    assert "the verdict says bad_signature, but the frame is verified" in found[place + 1]


# --- several link files -------------------------------------------------------------------------------------------


NEW = Signer({"ndmc-new": Ed25519PrivateKey.from_private_bytes(bytes([21]) * 32)})


def rotated(folder: Path, *, epoch: int) -> tuple[Scene, LinkFile]:
    """Return a scene in which ndmc has changed its key, with a new epoch or within the first; and its second file."""
    scene = Scene(folder)
    exchange = Exchange(folder / "journal", scene.file, at=1_669_708_740_000)
    exchange.open()
    exchange.start()
    exchange.delivered("ndmc")
    exchange.run(MINUTE)
    exchange.stop()
    second = with_keys(scene.file, ndmc=NEW.enrolled)
    second = structs.replace(second, terms=structs.replace(second.terms, epoch=epoch))
    scene.save("second.toml", second)
    signers = {"ndmc": NEW, "eucom": signer_of("eucom")}
    exchange = Exchange(folder / "journal", second, signers=signers, tag="second")  # type: ignore[arg-type]
    exchange.open()
    exchange.start()
    exchange.accept_keys()
    exchange.delivered("ndmc")
    exchange.run(MINUTE)
    exchange.stop()
    return scene, second


BOTH = ("--link-file", "link.toml", "--link-file", "second.toml")


@pytest.mark.parametrize("epoch", [1, 2], ids=["within an epoch", "with a new epoch"])
def test_keys_that_were_replaced_are_not_enrolled_again(tmp_path: Path, epoch: int) -> None:
    scene, second = rotated(tmp_path, epoch=epoch)
    for side in ("eucom", "ndmc", "watch"):
        run = scene.verify(f"journal/{side}", *BOTH)
        assert (run.exit, run.document["problems"]) == (0, [])
        assert [each["link_file"] for each in run.document["judged_under"]] == ["link.toml", "second.toml"]
        assert all(each["signatures"] for each in run.document["judged_under"])
    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))

    def make(record: Record, core: Any) -> Iterator[Entry]:
        old = signer_of("ndmc")
        assert old is not None
        yield enrols(record, scene.file.keys)
        yield arrives(record, "ndmc", invented(core, "ndmc", old, record.entry.at))
        yield enrols(record, second.keys)

    forged = scene.forged("eucom", inserted(place, make))
    assert place in reasons(scene.verify(forged, *BOTH))
    # the order of the files does not matter
    assert place in reasons(scene.verify(forged, *BOTH[2:], *BOTH[:2]))


def test_keys_that_the_sides_agreed_to_put_back(tmp_path: Path) -> None:
    """An officer accepts the first file once more. It is given once for each time that its keys came into force."""
    scene, _ = rotated(tmp_path, epoch=1)
    exchange = Exchange(tmp_path / "journal", scene.file, tag="third")
    exchange.open()
    exchange.start()
    exchange.accept_keys()
    exchange.delivered("ndmc")
    exchange.stop()
    scene.save("copy.toml", scene.file)
    for side in ("eucom", "ndmc", "watch"):
        run = scene.verify(f"journal/{side}", *BOTH, *BOTH[:2])
        assert (run.exit, run.document["problems"]) == (0, [])
        assert [each["link_file"] for each in run.document["judged_under"]] == [*BOTH[1::2], "link.toml (2)"]
        # a copy, as the other side has it, is no agreement
        assert scene.verify(f"journal/{side}", *BOTH, "--link-file", "copy.toml").exit == 4


def test_a_later_epoch_that_no_link_file_knows(tmp_path: Path) -> None:
    """A forger opens epoch 3 to use a key that epoch 2 had removed."""
    scene, second = rotated(tmp_path, epoch=2)
    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))

    def make(record: Record, core: Any) -> Iterator[Entry]:
        old = signer_of("ndmc")
        assert old is not None
        opened = next(each.entry for each in journal if type(each.entry).__name__ == "EpochOpened")
        terms = structs.replace(second.terms, epoch=3)
        yield structs.replace(opened, at=record.entry.at, mono=record.entry.mono, terms=terms)
        yield enrols(record, scene.file.keys)
        yield arrives(record, "ndmc", invented(core, "ndmc", old, record.entry.at))

    found = reasons(scene.verify(scene.forged("eucom", inserted(place, make)), *BOTH))
    assert "ndmc/ndmc-1" in found[place + 1]
    assert "bad_signature" in found[place + 2]


def test_a_journal_under_terms_of_no_link_file(scene: Scene) -> None:
    policy = structs.replace(scene.file.terms.policy, grace_s=60)
    name = scene.save("other.toml", structs.replace(scene.file, terms=structs.replace(scene.file.terms, policy=policy)))
    found = reasons(scene.verify("journal/eucom", "--link-file", name))
    assert found[1] == "its terms of epoch 1 are not those of the link file other.toml"


def test_a_link_file_of_another_link_judges_nothing(scene: Scene) -> None:
    name = scene.save("other.toml", structs.replace(scene.file, terms=structs.replace(scene.file.terms, link="syria")))
    found = reasons(scene.verify("journal/eucom", "--link-file", name))
    assert "no link file of link eucom-ndmc was given (other.toml)" in found[1]
    assert scene.verify("journal/eucom", "--link-file", name, "--link-file", "link.toml").exit == 0
