"""Two versions of one message, or false receipts, that raise no alarm while the link runs, or only one side's.

Hashes of the last 1,024 messages are kept (SPEC M5.3), refused frames apply nothing, and a stale receipt is ignored.
All of these frames are in the journals, signed, and `reconcile` compares them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from protocol.core.effects import Queue
from protocol.core.events import LineTestRequested
from protocol.wire.messages import MESSAGE_TYPE, Message
from tests.attacks.forge import signer_of
from tests.attacks.scene import Scene, alert, message_frame, receipt_frame
from tests.golden.continuing import printed
from tests.support.exchange import Exchange
from tests.support.world import MINUTE, Frame

AT = 1_669_720_000_000


def started(folder: Path) -> tuple[Scene, Exchange]:
    scene = Scene(folder)
    exchange = Exchange(folder / "journal", scene.file, at=AT)
    exchange.open()
    exchange.start()
    return scene, exchange


def message(scene: Scene, side: str, seq: int) -> Message:
    """Return a message that a side has queued."""
    return next(
        effect.message
        for record in scene.records(side)
        for effect in record.effects
        if isinstance(effect, Queue) and effect.message.seq == seq
    )


def second_version(scene: Scene, side: str, seq: int, *, prev: str = "") -> Frame:
    """Return a frame with another message in the place of one that a side has sent, signed with its key."""
    true, signer = message(scene, side, seq), signer_of(side)
    assert signer is not None
    other = structs.replace(true, body=alert(AT, "Something else"), prev=prev or true.prev)
    return Frame(side, "message", message_frame(scene.file.terms, side, signer, other))


def test_a_second_message_5_after_1100_more(tmp_path: Path) -> None:
    scene, exchange = started(tmp_path)
    for _ in range(5):
        exchange.delivered("eucom")
    for number in range(1_100):
        exchange.ask("eucom", LineTestRequested, nonce=f"{number:016x}")
        if number % 100 == 0:
            exchange.settle()
    exchange.settle()
    exchange.ndmc.receive(second_version(scene, "eucom", 5))
    exchange.settle()
    exchange.stop()
    assert not [alarm for alarm in exchange.ndmc.core.snapshot().alarms if alarm.code == "equivocation"]
    for names in (("journal/eucom", "journal/ndmc"), ("journal/watch", "journal/ndmc")):
        run = scene.reconcile(*names)
        assert run.exit == 6
        assert run.document["differing"] == ["eucom/1/5"]
        assert {each["seen"]["journal"] for each in run.document["versions"]} >= {"ndmc"}
        assert len({each["digest"] for each in run.document["versions"]}) == 2


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_a_second_version_in_a_refused_frame(tmp_path: Path, side: str) -> None:
    scene, exchange = started(tmp_path)
    exchange.delivered(side)
    exchange.peer_of(side).receive(second_version(scene, side, 1))
    exchange.settle()
    exchange.run(MINUTE)
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc")
    assert run.exit == 6
    assert run.document["differing"] == [f"{side}/1/1"]
    assert [each["signer"] for each in run.document["missing_frames"]] == [side]


def test_a_second_version_that_only_the_watch_has_received(tmp_path: Path) -> None:
    scene, exchange = started(tmp_path)
    exchange.delivered("ndmc")
    exchange.delivered("ndmc")
    exchange.ends["watch"].receive(second_version(scene, "ndmc", 1))
    exchange.settle()
    exchange.stop()
    assert scene.reconcile("journal/eucom", "journal/ndmc").exit == 0
    run = scene.reconcile("journal/eucom", "journal/ndmc", "--watch", "journal/watch")
    assert (run.exit, run.document["differing"]) == (6, ["ndmc/1/1"])
    assert scene.reconcile("journal/eucom", "journal/watch").exit == 6
    assert scene.reconcile("journal/watch", "journal/ndmc").exit == 6


def test_a_message_far_ahead_that_was_never_sent(tmp_path: Path) -> None:
    """The frame is refused as too far ahead, and no message of it is applied."""
    scene, exchange = started(tmp_path)
    exchange.delivered("eucom")
    signer = signer_of("eucom")
    assert signer is not None
    ahead = Message(seq=700, prev="0" * 64, at="2022-11-29T11:00:00.000Z", body=alert(AT, "Far ahead"))
    exchange.ndmc.receive(Frame("eucom", "message", message_frame(scene.file.terms, "eucom", signer, ahead)))
    exchange.settle()
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc")
    assert run.exit == 6
    assert [each["messages"] for each in run.document["missing_frames"]] == [["eucom/1/700"]]


@pytest.mark.parametrize(("upto", "head"), [(1, "ab" * 32), (2, "")], ids=["a stale receipt", "a repeated receipt"])
def test_a_receipt_that_its_signer_never_sealed(tmp_path: Path, upto: int, head: str) -> None:
    scene, exchange = started(tmp_path)
    exchange.delivered("eucom")
    exchange.delivered("eucom")
    signer = signer_of("ndmc")
    assert signer is not None
    head = head or exchange.ndmc.core.state.epoch.inbox.head  # type: ignore[union-attr]
    frame = receipt_frame(scene.file.terms, "ndmc", signer, upto, head, AT + MINUTE)
    exchange.eucom.receive(Frame("ndmc", "receipt", frame))
    exchange.settle()
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc")
    assert run.exit == 6
    assert [each["receipt_upto"] for each in run.document["missing_frames"]] == [upto]
    assert run.document["differing"] == (["eucom/1/1"] if upto == 1 else [])


def test_a_frame_of_another_epoch_that_was_never_opened(tmp_path: Path) -> None:
    scene, exchange = started(tmp_path)
    exchange.delivered("eucom")
    signer = signer_of("eucom")
    assert signer is not None
    terms = structs.replace(scene.file.terms, epoch=2)
    first = Message(seq=1, prev="0" * 64, at="2022-11-29T11:00:00.000Z", body=alert(AT, "Epoch 2"))
    exchange.ndmc.receive(Frame("eucom", "message", message_frame(terms, "eucom", signer, first)))
    exchange.settle()
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc")
    assert run.exit == 6
    assert [each["messages"] for each in run.document["missing_frames"]] == [["eucom/2/1"]]


def test_a_frame_of_another_link_says_nothing_about_this_one(tmp_path: Path) -> None:
    """A party may have one key on two links, and a broker may bring the frame of one to the other."""
    scene, exchange = started(tmp_path)
    exchange.delivered("eucom")
    signer = signer_of("eucom")
    assert signer is not None
    terms = structs.replace(scene.file.terms, link="syria")
    first = Message(seq=1, prev="0" * 64, at="2022-11-29T11:00:00.000Z", body=alert(AT, "Elsewhere"))
    exchange.ndmc.receive(Frame("eucom", "message", message_frame(terms, "eucom", signer, first)))
    exchange.settle()
    exchange.stop()
    assert scene.reconcile("journal/eucom", "journal/ndmc").exit == 0


def test_a_receipt_for_messages_that_were_never_sent(tmp_path: Path) -> None:
    scene, exchange = started(tmp_path)
    exchange.delivered("eucom")
    signer = signer_of("ndmc")
    assert signer is not None
    frame = receipt_frame(scene.file.terms, "ndmc", signer, 9, "ab" * 32, AT + MINUTE)
    exchange.eucom.receive(Frame("ndmc", "receipt", frame))
    exchange.settle()
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc")
    assert run.exit == 6
    assert run.document["only_in"] == {"eucom": ["eucom/1/9"], "ndmc": []}
    said = printed(tmp_path, ["reconcile", "journal/eucom", "journal/ndmc", "--lang", "en"])
    assert "eucom/1/9: receipted, but in no journal (receipt: eucom)" in said
    assert "the journal of ndmc did not seal a frame that it signed: receipt for eucom/1/9" in said


def test_signed_frames_that_nobody_can_read(tmp_path: Path) -> None:
    _, exchange = started(tmp_path)
    exchange.delivered("eucom")
    signer = signer_of("eucom")
    assert signer is not None
    exchange.ndmc.receive(Frame("eucom", "message", signer.seal(MESSAGE_TYPE, b"{}")))
    exchange.settle()
    exchange.stop()
    said = printed(tmp_path, ["reconcile", "journal/eucom", "journal/ndmc", "--lang", "en"])
    assert "the journal of eucom did not seal a frame that it signed: unreadable: malformed_payload" in said
