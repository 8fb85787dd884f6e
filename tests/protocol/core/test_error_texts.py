"""Errors of a core: each says what is wrong, and what would be right."""

import pytest
from msgspec import structs

from protocol.core.events import BatchClosed, TransportLost
from protocol.core.start_events import EpochOpened
from protocol.core.stream import OUTBOX_MAX_MESSAGES
from protocol.errors import LocalProtocolError
from tests.support.cast import Peer, acknowledge, alert, answer, cancel, refuse, release, see, test_line
from tests.support.playbook import Cue, event
from tests.support.world import TERMS, End, Line, terms

OTHER_LINK = event(EpochOpened, terms=structs.replace(TERMS, link="other", epoch=2))


def error(end: End, cue: Cue) -> LocalProtocolError:
    """Return the error of a request or event that an end refuses."""
    ((kind, fields),) = cue.happenings
    with pytest.raises(LocalProtocolError) as refused:
        end.core.handle(kind(at=end.at, mono=end.mono, **fields))
    return refused.value


@pytest.mark.parametrize(
    ("name", "cue", "code", "text"),
    [
        ("ndmc", answer("eucom/1/1", ("ящик", "ящик", "ящик")), "wrong_words", "three words"),
        ("ndmc", refuse("eucom/1/4", referral="nobody"), "unknown_reference", "defence-ministers"),
        ("ndmc", acknowledge("eucom/1/9"), "unknown_reference", "eucom/1/9"),
        ("ndmc", see("broker_unreachable", "broker"), "unknown_alarm", "no alarm"),
        ("eucom", cancel("eucom/1/2"), "already_done", "cancelled already"),
        ("eucom", release(1, "watch-1"), "four_eyes", "another officer"),
        ("eucom", release(2), "unknown_reference", "no draft/2"),
        ("eucom", event(EpochOpened, terms=terms(grace_s=901)), "wrong_epoch", "epoch 1 is open"),
        ("eucom", OTHER_LINK, "wrong_link", "not of eucom-ndmc"),
        ("watch", OTHER_LINK, "wrong_link", "not of eucom-ndmc"),
        ("watch", event(BatchClosed, frames=(b"x",)), "wrong_frames", "s nothing"),
    ],
)
def test_an_error_names_what_is_wrong(name: str, cue: Cue, code: str, text: str) -> None:
    """SPEC B2.3, B3.3, B5.2, B6.3, E1.1, P1.1, W4, W6"""
    line = Line(quiet=True, watch=True)
    for earlier in (test_line(), alert(), alert("flash"), cancel("eucom/1/2"), alert()):
        line.eucom.happens(*earlier.happenings)
        line.settle()
    refused = error(line.end(name), cue)
    assert refused.code == code
    assert text in str(refused)


def test_an_alert_that_cannot_be_sent_names_another_way() -> None:
    """SPEC M4.5, R3.1"""
    line = Line(quiet=True, shadowed=False)
    line.eucom.happens((TransportLost, {"reason": "gone"}))
    line.eucom.fill_outbox(OUTBOX_MAX_MESSAGES)
    assert "another channel" in str(error(line.eucom, alert()))
    line.ndmc.receive(Peer("eucom").receipts(2, "0" * 64))
    assert "open a new epoch" in str(error(line.ndmc, alert()))
