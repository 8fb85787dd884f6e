"""What an officer saw, compared with what others did: releases, acknowledgements, refusals, answers, cancellations."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET, structs, to_builtins

from protocol.core.acts import ACTS_KEPT, Act, ActedFirstError, ActKind, Item
from protocol.core.drafts import DRAFTS_MAX, ENDED_KEPT
from protocol.core.events import ClockStepped, OfficerAcknowledged
from protocol.errors import LocalProtocolError
from protocol.wire import canonical
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from tests.support.cast import Peer, acknowledge, alert, an_alert, answer, cancel, ref, refuse, release, test_line
from tests.support.playbook import Cue, on, play, settle
from tests.support.world import HOUR, START, End, Line, terms


def quiet_line() -> Line:
    return Line(terms(), quiet=True)


def with_an_alert() -> Line:
    """Return a line on which eucom's alert has arrived."""
    line = quiet_line()
    for cue in (on("eucom", alert()), settle()):
        cue.act(line)
    return line


def item(end: End, reference: str = "eucom/1/1") -> Item:
    """Return an item as the snapshot has it; the core's own must be the same."""
    found = end.core.snapshot().item(reference)
    assert found is not None
    return found


def refused(stage: End | Line, cue: Cue, side: str = "") -> LocalProtocolError:
    """Return the error of a request that must be refused."""
    end = stage.end(side) if isinstance(stage, Line) else stage
    ((kind, fields),) = cue.happenings
    with pytest.raises(LocalProtocolError) as raised:
        end.core.handle(kind(at=end.at, mono=end.mono, **fields))
    return raised.value


# --- the digest ---------------------------------------------------------------------------------------------------


def test_the_digest_covers_the_item_and_the_acts_on_it() -> None:
    """SPEC P2.1"""
    line = with_an_alert()
    before = item(line.ndmc)
    assert before.seen == item(line.eucom).seen
    assert before.seen == canonical.digest(
        {
            "reference": "eucom/1/1",
            "item": {name: value for name, value in to_builtins(before.item).items() if name != "released_by"},
            "acts": [],
            "earlier": 0,
        }
    )
    play_acts(line)
    after = item(line.ndmc)
    assert [(act.act, act.officer, act.decision) for act in after.acts] == [
        ("acknowledged", "duty-1", "will_reply"),
        ("acknowledged", "duty-1", "acting"),
    ]
    assert after.item == before.item
    assert after.seen != before.seen
    # it does not depend on the reference of an act's message, which rules 2 did not keep
    bare = structs.replace(
        after, acts=tuple(structs.replace(act, reference=Reference("ndmc", 1, 9)) for act in after.acts)
    )
    assert bare.seen == after.seen
    assert structs.replace(after, earlier=1).seen != after.seen


def play_acts(line: Line) -> None:
    for cue in (
        on("ndmc", acknowledge("eucom/1/1", "will_reply")),
        on("ndmc", acknowledge("eucom/1/1", "acting")),
        settle(),
    ):
        cue.act(line)


def test_only_the_last_acts_of_an_item_are_kept_and_the_others_counted() -> None:
    """SPEC P2.1: a peer may acknowledge as often as it likes."""
    line = with_an_alert()
    for _ in range(ACTS_KEPT + 3):
        on("ndmc", acknowledge("eucom/1/1", "will_reply")).act(line)
    settle().act(line)
    for end in line.ends.values():
        assert len(item(end).acts) == ACTS_KEPT
        assert item(end).earlier == 3


def test_nothing_else_has_acts() -> None:
    assert with_an_alert().ndmc.core.snapshot().item("eucom/1/2") is None


# --- two officers at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [acknowledge("eucom/1/1", officer="duty-2"), refuse("eucom/1/1", officer="duty-2")])
@pytest.mark.parametrize("first", ["understood", "will_reply"])
def test_the_second_of_two_officers_learns_what_the_first_did(first: str, second: Cue) -> None:
    """SPEC P2.3"""
    line = with_an_alert()
    at = written(line.ndmc.at)
    play(
        line,
        on("ndmc", acknowledge("eucom/1/1", first)),
        "ndmc: Queue 1 acknowledgement",
        "ndmc: Seal message 1",
    )
    error = refused(line, second, "ndmc")
    assert isinstance(error, ActedFirstError)
    assert error.code == "changed_since_seen"
    assert error.detail == (
        f"eucom/1/1 was not seen as it is now: duty-1 acknowledged it ({first}) at {at} as ndmc/1/1"
    )
    # an officer who has read it again may add their own word
    ((kind, fields),) = second.happenings
    line.ndmc.happens((kind, fields | {"request": "request-again", "seen": error.item.seen}))
    assert [act.officer for act in item(line.ndmc).acts] == ["duty-1", "duty-2"]


def test_an_officer_may_move_on_from_their_own_act() -> None:
    """SPEC P2.3, B4.2"""
    line = with_an_alert()
    for decision in ("will_reply", "understood", "acting"):
        assert not isinstance(on("ndmc", acknowledge("eucom/1/1", decision)).act(line), Exception)
    assert [act.decision for act in item(line.ndmc).acts] == ["will_reply", "understood", "acting"]
    play(line, on("ndmc", acknowledge("eucom/1/1", officer="duty-2")), "ndmc: refused: changed_since_seen")


def test_a_digest_of_earlier_acts_is_refused_whoever_gives_it() -> None:
    """SPEC P2.2"""
    line = with_an_alert()
    before = item(line.ndmc).seen
    on("ndmc", acknowledge("eucom/1/1", "will_reply")).act(line)
    for officer in ("duty-1", "duty-2"):
        play(
            line,
            on("ndmc", acknowledge("eucom/1/1", officer=officer, seen=before)),
            "ndmc: refused: changed_since_seen",
        )
    on("ndmc", refuse("eucom/1/1", seen=item(line.ndmc).seen)).act(line)
    error = refused(line, acknowledge("eucom/1/1", officer="duty-2"), "ndmc")
    assert (error.code, "duty-1 refused it (out_of_scope)" in error.detail) == ("already_done", True)


def test_an_alert_is_cancelled_whatever_the_other_side_said_unless_the_officer_says_what_they_saw() -> None:
    """SPEC P1.3, P2.2: taking a false alert back must not wait."""
    line = with_an_alert()
    before = item(line.eucom).seen
    for cue in (on("ndmc", acknowledge("eucom/1/1")), settle()):
        cue.act(line)
    play(line, on("eucom", cancel("eucom/1/1", seen=before)), "eucom: refused: changed_since_seen")
    on("eucom", cancel("eucom/1/1", "watch-2")).act(line)
    error = refused(line, cancel("eucom/1/1"), "eucom")
    assert error.code == "already_done"
    assert "watch-2 cancelled it at" in error.detail
    assert error.detail.endswith(" as eucom/1/2")


def test_a_line_test_is_answered_once_and_as_it_was_seen() -> None:
    """SPEC P2.2, B2.3"""
    line = Line(terms(answered_by="officer"), quiet=True)
    for cue in (on("eucom", test_line()), settle()):
        cue.act(line)
    play(line, on("ndmc", answer("eucom/1/1", seen="0" * 64)), "ndmc: refused: changed_since_seen")
    on("ndmc", answer("eucom/1/1", seen=item(line.ndmc).seen)).act(line)
    error = refused(line, answer("eucom/1/1", officer="duty-2"), "ndmc")
    assert error.code == "already_done"
    assert error.detail.startswith("eucom/1/1 is answered already: duty-1 answered it at ")
    settle().act(line)
    assert [(act.party, act.officer) for act in item(line.eucom).acts] == [("ndmc", "duty-1")]


def test_an_act_of_older_rules_passes_as_it_did() -> None:
    """SPEC P2.3: rules 1 and 2 compared nothing."""
    line = with_an_alert()
    core = line.ndmc.core
    on("ndmc", acknowledge("eucom/1/1")).act(line)
    ((kind, fields),) = acknowledge("eucom/1/1", officer="duty-2").happenings
    event = kind(at=line.ndmc.at, mono=line.ndmc.mono, **fields)
    assert isinstance(event, OfficerAcknowledged)
    assert core.handle(core.as_seen(event))
    unknown = structs.replace(event, of=Reference("eucom", 1, 9))
    assert core.as_seen(unknown) is unknown
    step = ClockStepped(at=1, mono=1, step_ms=1)
    assert core.as_seen(step) is step


# --- drafts -------------------------------------------------------------------------------------------------------


def held(**fields: Any) -> End:
    """Return the caller's end with one draft, of `watch-1`."""
    end = End.started("eucom", terms(), quiet=True)
    play(end, alert("flash", cancellation={"en": "Disregard it."}, **fields), "HoldDraft 1")
    return end


def test_a_draft_is_released_as_it_was_seen() -> None:
    """SPEC P1.1, P2.2"""
    end = held()
    (draft,) = end.core.snapshot().drafts
    assert draft.seen == item(end, "draft/1").seen
    assert "released_by" not in draft.item
    assert draft.item["cancellation"] == {"en": "Disregard it."}
    play(end, release(1, seen="0" * 64), "refused: changed_since_seen")
    play(end, cancel(draft=1, seen="0" * 64), "refused: changed_since_seen")
    play(end, release(1, seen=draft.seen), "Queue 1 alert", "Seal message 1")
    error = refused(end, release(1, "watch-3"))
    assert error.code == "already_released"
    assert error.detail == f"draft/1 is released already: watch-2 released it at {written(end.at)} as eucom/1/1"
    assert end.core.snapshot().drafts_ended["draft/1"].reference == Reference("eucom", 1, 1)


def test_a_draft_expires_at_its_instant_and_waits_again_if_the_clock_is_set_back() -> None:
    """SPEC P1.6"""
    end = held(expires_at=written(START + HOUR))
    deadline = end.core.next_deadline()
    assert deadline is not None
    assert deadline.at == START + HOUR
    end.transcript.clear()
    end.world.wait(HOUR)
    assert "ExpireDraft 1" in end.transcript
    snapshot = end.core.snapshot()
    assert (snapshot.drafts, snapshot.drafts_ended["draft/1"].act) == ((), "expired")
    end.skew -= HOUR
    end.happens((ClockStepped, {"step_ms": -HOUR}))
    assert "HoldDraft 1" in end.transcript
    assert [draft.draft for draft in end.core.snapshot().drafts] == ["draft/1"]
    play(end, release(1), "Queue 1 alert", "Seal message 1")


def test_expired_and_ended_drafts_are_bounded() -> None:
    """SPEC P1.6"""
    end = End.started("eucom", terms(), quiet=True, shadowed=False)
    for _ in range(2 * DRAFTS_MAX):
        end.happens(*alert("flash", expires_at=written(end.at + HOUR)).happenings)
        end.world.wait(HOUR)
    state = end.link.state.officer_requests
    assert list(state.drafts) == list(range(DRAFTS_MAX + 1, 2 * DRAFTS_MAX + 1))
    assert refused(end, release(1)).code == "expired"
    play(end, cancel(draft=2 * DRAFTS_MAX))
    assert state.ended[2 * DRAFTS_MAX].act == "discarded"
    for _ in range(ENDED_KEPT):
        end.happens(*alert("flash", expires_at=written(end.at + HOUR)).happenings)
        end.happens(*cancel(draft=state.last_draft).happenings)
    assert len(state.ended) == ENDED_KEPT
    assert not state.drafts
    assert refused(end, release(1)).code == "unknown_reference"


def test_a_change_names_the_act_that_came_first() -> None:
    """SPEC B3.3, P2.2: of two updates of one alert the second is not sent."""
    line = with_an_alert()
    change: dict[str, Any] = {"changes": Reference("eucom", 1, 1), "change_kind": "update"}
    on("eucom", alert(officer="watch-2", **change)).act(line)
    error = refused(line, alert(**change), "eucom")
    assert (error.code, "watch-2 updated it" in error.detail) == ("already_done", True)


def test_an_act_on_what_is_no_longer_known_is_not_kept() -> None:
    """SPEC B6.2"""
    end, peer = End.started("eucom", terms(), quiet=True), Peer("ndmc")
    change = {"of": ref(1, "ndmc"), "kind": "update"}
    end.receive(peer.sends(peer.says(an_alert())))
    end.core.state.alerts.clear()
    end.receive(peer.sends(peer.says(an_alert(change=change))))
    assert list(end.core.state.alerts) == ["ndmc/1/2"]


@pytest.mark.parametrize(
    ("act", "more", "text"),
    [
        ("acknowledged", {"decision": "acting"}, "duty-1 acknowledged it (acting) at NOW as eucom/1/2"),
        ("refused", {"reason": "out_of_scope"}, "duty-1 refused it (out_of_scope) at NOW as eucom/1/2"),
        ("answered", {}, "duty-1 answered it at NOW as eucom/1/2"),
        ("updated", {}, "duty-1 updated it at NOW as eucom/1/2"),
        ("corrected", {}, "duty-1 corrected it at NOW as eucom/1/2"),
        ("cancelled", {}, "duty-1 cancelled it at NOW as eucom/1/2"),
        ("released", {}, "duty-1 released it at NOW as eucom/1/2"),
        ("discarded", {}, "duty-1 discarded it at NOW as eucom/1/2"),
        ("expired", {}, "it expired at NOW as eucom/1/2"),
    ],
)
def test_an_act_in_words(act: ActKind, more: dict[str, Any], text: str) -> None:
    now = written(START)
    done = Act(act=act, at=now, party="eucom", officer="duty-1", reference=Reference("eucom", 1, 2), **more)
    assert str(done) == text.replace("NOW", now)
    alone = structs.replace(done, officer=UNSET, reference=UNSET)
    assert str(alone) == text.replace("NOW", now).replace("duty-1", "eucom").removesuffix(" as eucom/1/2")
