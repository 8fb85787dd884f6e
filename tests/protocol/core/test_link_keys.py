"""Changed keys in a bare core: what verifies, what is signed, and what an officer accepts (SPEC F5.4, F5.5, F5.6)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from protocol.core.effects import ClearAlarm, Notify, RaiseAlarm, Seal
from protocol.core.events import AlarmAcknowledged, LineTestRequested, TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.core.link_keys import LinkKeys, PendingKeys
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened, KeysChanged, KeysEnrolled, OfficersEnrolled
from protocol.errors import LocalProtocolError
from protocol.wire.policy import EnrolledKey
from protocol.wire.words import fingerprint_words
from tests.support.world import NONCE, START, End, Line, terms
from tests.vectors.terms import party_keys

KEYS = party_keys("ed25519")
OTHER = structs.replace(KEYS["eucom"][0], id="other", public="A" * 43 + "=")
DIGEST = "0123456789abcdef" * 4
# a nonce that asks for words 3 to 5
THIRD = f"{2:016x}"
WORDS = fingerprint_words(DIGEST, "en")[2:5]
Keys = dict[str, tuple[EnrolledKey, ...]]


def change(keys: Keys, digest: str = DIGEST, nonce: str = THIRD) -> tuple[type[KeysChanged], dict[str, object]]:
    return KeysChanged, {"keys": keys, "digest": digest, "nonce": nonce}


def accept(words: Any = WORDS, request: str = "accept-1", subject: str = DIGEST[:16]) -> Any:
    fields = {"request": request, "officer": "duty-1", "code": "keys_changed", "subject": subject}
    return AlarmAcknowledged, fields | ({"words": words} if words else {})


def enrolled_line(**options: Any) -> Line:
    line = Line(quiet=True, **options)
    for end in line.ends.values():
        end.happens((KeysEnrolled, {"keys": KEYS}))
    return line


@pytest.mark.parametrize("wrong", [{"digest": "0" * 63}, {"digest": "F" * 64}, {"nonce": "0"}])
def test_a_change_without_a_digest_or_a_nonce_is_refused(wrong: dict[str, str]) -> None:
    end = End.started()
    fields: dict[str, Any] = {"keys": KEYS, "digest": DIGEST, "nonce": THIRD} | wrong
    with pytest.raises(LocalProtocolError) as refused:
        end.core.handle(KeysChanged(at=end.at, mono=end.mono, **fields))
    assert refused.value.code == "wrong_event"


@pytest.mark.parametrize("kind", [Link, Observer])
def test_keys_and_officers_need_no_epoch(kind: type[Link | Observer]) -> None:
    core = kind.new("eucom-ndmc", "eucom")
    core.handle(KeysEnrolled(at=START, mono=1, keys=KEYS))
    core.handle(OfficersEnrolled(at=START, mono=1, officers={"duty-1": DIGEST}))
    (raised, _) = core.handle(
        KeysChanged(at=START, mono=1, keys=KEYS | {"eucom": (OTHER,)}, digest=DIGEST, nonce=THIRD)
    )
    assert isinstance(raised, RaiseAlarm)
    assert core.officers == {"duty-1": DIGEST}
    assert core.keys.accepted == KEYS | {"eucom": ()}
    assert type(core).restore(core.checkpoint()).keys == core.keys


def test_a_change_supersedes_the_one_before_and_going_back_ends_it() -> None:
    line = enrolled_line(watch=True)
    end = line.end("watch")
    end.happens(change(KEYS | {"eucom": (*KEYS["eucom"], OTHER)}))
    effects = end.happens(change(KEYS | {"eucom": (OTHER,)}, digest="f" * 64))
    assert [type(each) for each in effects if not isinstance(each, Notify)] == [ClearAlarm, RaiseAlarm]
    assert end.alarms == ["keys_changed/" + "f" * 16]
    # the earlier alarm is over: acknowledging it accepts nothing
    end.happens(accept(words=None))
    assert end.core.keys.accepted["eucom"] == ()
    end.happens(change(dict(reversed(KEYS.items()))))
    assert end.alarms == []
    assert end.core.keys == LinkKeys(KEYS)


def test_the_order_of_keys_is_no_change() -> None:
    both = KEYS | {"eucom": (*KEYS["eucom"], OTHER)}
    keys = LinkKeys(both)
    turned = KEYS | {"eucom": (OTHER, *KEYS["eucom"])}
    assert not keys.differ(turned, DIGEST)
    pending = LinkKeys(KEYS, PendingKeys(both, DIGEST, 1))
    assert not pending.differ(turned, DIGEST)
    assert pending.differ(turned, "f" * 64)
    assert pending.differ(KEYS, DIGEST)
    assert pending.acknowledged("f" * 16, WORDS) == pending


def test_while_our_keys_wait_nothing_is_signed_and_then_everything() -> None:
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    before = [run.first for run in eucom.outbox.sealed]
    assert before == [1]
    eucom.outgoing.clear()
    eucom.happens(change(KEYS | {"eucom": (OTHER,)}))
    held = eucom.link.signs
    eucom.happens((LineTestRequested, {"request": "test-2", "nonce": NONCE}))
    assert [run.first for run in eucom.outbox.sealed] == [1]
    effects = eucom.happens(accept())
    assert (held, eucom.link.signs) == (False, True)
    seals = [(each.index, each.channel, each.first) for each in effects if isinstance(each, Seal)]
    assert seals == [(0, "message", 1), (1, "message", 2)]
    line.settle()
    assert line.ndmc.inbox.upto == 2
    assert not eucom.outbox.sealed
    assert not eucom.outbox.sign_again


def test_a_receipt_is_signed_beside_what_is_signed_again() -> None:
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    eucom.happens((TransportLost, {"reason": "gone"}))
    eucom.happens(change(KEYS | {"eucom": (OTHER,)}))
    eucom.happens(accept())
    assert eucom.outbox.sign_again
    effects = eucom.happens((TransportConnected, {}))
    assert [(each.channel, each.index) for each in effects if isinstance(each, Seal)] == [
        ("message", 0),
        ("receipt", 1),
    ]
    assert not eucom.outbox.sign_again


def test_a_peer_that_has_receipted_needs_nothing_signed_again() -> None:
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    eucom.happens(change(KEYS | {"eucom": (OTHER,)}))
    assert eucom.outbox.sign_again
    line.settle()
    assert not eucom.outbox.sign_again


def test_other_keys_of_the_peer_hold_nothing_back() -> None:
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens(change(KEYS | {"ndmc": (OTHER,)}))
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    assert eucom.link.signs
    assert eucom.outbox.sealed
    assert not eucom.outbox.sign_again


def test_a_spare_key_of_ours_that_goes_has_its_frames_signed_again() -> None:
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens((KeysEnrolled, {"keys": KEYS | {"eucom": (*KEYS["eucom"], OTHER)}}))
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    effects = eucom.happens(change(KEYS))
    assert [each.first for each in effects if isinstance(each, Seal)] == [1]


def test_keys_that_older_rules_have_enrolled_leave_the_sealed_frames_as_they_were() -> None:
    """Rules 1 and 2 enrolled changed keys of the same epoch so, and their records have to be folded."""
    line = enrolled_line()
    eucom = line.eucom
    eucom.happens((LineTestRequested, {"request": "test-1", "nonce": NONCE}))
    eucom.outgoing.clear()
    effects = eucom.happens((KeysEnrolled, {"keys": KEYS | {"eucom": (OTHER,)}}))
    assert (effects, [run.first for run in eucom.outbox.sealed]) == ([], [1])


def test_a_new_epoch_clears_the_alarm() -> None:
    line = enrolled_line()
    line.eucom.happens(change(KEYS | {"ndmc": (OTHER,)}))
    line.eucom.happens((EpochOpened, {"terms": terms(2)}), (KeysEnrolled, {"keys": KEYS}))
    assert line.eucom.alarms == []
    assert line.eucom.core.keys == LinkKeys(KEYS)
