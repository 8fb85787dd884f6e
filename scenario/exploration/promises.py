"""The promises that each batch of a small world must keep, beside those of `scenario.simulation.invariants`.

They read the journal alone, as another endpoint would: its frames, its events and their effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from protocol.core.effects import AnyEffect, Apply, Notify, Queue, RaiseAlarm, RejectFrame, Resend, Seal, Settle
from protocol.core.event import Event
from protocol.core.events import (
    BatchClosed,
    DeadlineReached,
    FrameReceived,
    OfficerAcknowledged,
    OfficerCancelled,
    OfficerRefused,
    OfficerReleased,
    PeerPresenceChanged,
    Request,
    Started,
    TransportConnected,
    TransportLost,
)
from protocol.core.link import FOREIGN_ANSWER_MS
from protocol.core.start_events import EpochOpened
from protocol.core.stream import RESEND_MAX_MS, RESEND_MIN_MS, SEALED_MAX
from protocol.errors import LocalProtocolError
from protocol.record.journal import Entry
from protocol.wire.instants import Millis
from protocol.wire.messages import Message, Reference
from scenario.exploration.contradictions import STOPS, contradictions
from scenario.exploration.small_world import WATCH, ForeignFrame
from scenario.exploration.written_batch import JournalRecord, WrittenBatch
from scenario.simulation.invariants import Observations, Violation

_OTHER_TERMS = ("wrong_epoch", "wrong_policy")


def facts(observed: Observations) -> tuple[Any, ...]:
    """Return all that a later promise can depend on, of what a journal holds."""
    return (
        observed.epoch,
        tuple(observed.applied.items()),
        tuple(observed.receipted.items()),
        tuple(observed.settled.items()),
        tuple(sorted(observed.alarms)),
        tuple(sorted(observed.raised.items())),
        tuple(sorted(observed.repeats.items())),
        tuple(sorted(observed.acknowledged)),
        observed.clock_stepped,
        len(observed.heard),
    )


def refused(side: str, event: Event, error: LocalProtocolError, *, same: bool) -> None:
    """Check that a refused event has changed nothing, and that no frame was refused so. Raises Violation."""
    if not same:
        raise Violation(f"{side}: a refused {type(event).__name__} ({error.code}) has changed something")
    if isinstance(event, FrameReceived):
        raise Violation(f"{side}: a frame raised {error.code}: the core must take any")


def taken(side: str, event: Event, reference: str | None) -> None:
    """Check that a request that was taken is known when it is repeated. Raises Violation."""
    if isinstance(event, Request) and reference is None:
        raise Violation(f"{side}: a request was taken, and a repetition of it would be taken again")


def written(written: WrittenBatch) -> None:
    """Check a batch that is on disk. Raises Violation."""
    for event, effects in written.batch:
        _frame(written, event, effects)
        _act(written, event)
        for effect in effects:
            _effect(written, effects, effect)
    if written.side != WATCH:
        _undelivered(written)
        _answered(written)
        _backed_off(written)
        contradictions(written)
        _answers_of_foreign(written)


# --- single records ---------------------------------------------------------------------------------------------------


def _frame(written: WrittenBatch, event: Entry, effects: Sequence[AnyEffect]) -> None:
    """Check that a forged frame is refused for the right reason, and has no effect (SPEC F3, M6.1)."""
    if not isinstance(event, FrameReceived):
        return
    for foreign in written.world.foreign:
        if foreign.message_refused and foreign.frame == event.frame:
            _refused_message(written, foreign, effects)
        if foreign.refused and (foreign.frame, foreign.sender, foreign.channel) == (
            event.frame,
            event.sender,
            event.channel,
        ):
            reasons = [effect.reason for effect in effects if isinstance(effect, RejectFrame)]
            if reasons != [foreign.refused]:
                written.broken(f"the frame {foreign.name!r} was refused for {reasons}, not for {foreign.refused}")
            if any(isinstance(effect, Apply | Settle | Queue) for effect in effects):
                written.broken(f"the frame {foreign.name!r} was refused, and had effects")


def _refused_message(written: WrittenBatch, foreign: ForeignFrame, effects: Sequence[AnyEffect]) -> None:
    """Check that a message that breaks a rule is refused, and answered with a refusal (SPEC M7.1 to M7.3)."""
    applied = [effect for effect in effects if isinstance(effect, Apply)]
    if not applied:
        return
    if applied[0].refused != foreign.message_refused:
        written.broken(f"the message {foreign.name!r} was refused for {applied[0].refused!r}")
    answers = [effect for effect in effects if isinstance(effect, Queue)]
    if len(answers) != (applied[0].message.body["type"] != "refusal"):
        written.broken(f"the message {foreign.name!r} had {len(answers)} answers")


def _act(written: WrittenBatch, event: Entry) -> None:
    """Check that a draft ends once, and that no officer replies to an alert unseen (SPEC P1.1, P2.3)."""
    if isinstance(event, OfficerReleased | OfficerCancelled) and event.draft is not UNSET:
        ended = [
            each
            for each, _ in written.earlier
            if isinstance(each, OfficerReleased | OfficerCancelled) and each.draft == event.draft
        ]
        if ended:
            written.broken(f"draft/{event.draft} was released or discarded twice")
    if not isinstance(event, OfficerAcknowledged | OfficerRefused) or event.seen is not UNSET:
        return
    acts = [
        heard.body.get("officer")
        for heard in written.before.heard
        if heard.body["type"] in {"acknowledgement", "refusal"} and _of(heard.body) == event.of
    ]
    if acts and acts[-1] != event.officer:
        written.broken(f"{event.officer} has replied to {event.of}, and has not seen that {acts[-1]} did")


def _effect(written: WrittenBatch, effects: Sequence[AnyEffect], effect: AnyEffect) -> None:
    match effect:
        case Queue(message=message):
            _message(written, written.side, message)
            if message.body["type"] == "refusal" and _of(message.body) in _refusals(written, effects):
                written.broken("a refusal was answered with a refusal")
        case Apply(sender=sender, message=message, refused=reason):
            if any((code, sender) in written.before.alarms for code in STOPS):
                written.broken(f"message {message.seq} of {sender} was applied although its direction has stopped")
            if reason is UNSET:
                _message(written, sender, message)
                told = [each.reference for each in effects if isinstance(each, Notify) and each.kind == "message"]
                reference = Reference(sender, written.after.epoch, message.seq)
                if written.side != WATCH and reference not in told:
                    written.broken(f"nobody was notified of {reference}")
        case Settle(upto=upto):
            if upto <= written.before.settled[written.after.epoch]:
                written.broken(f"a receipt up to {upto} settles nothing")
            _fork_stopped(written)
        case Seal(first=first) if first is not UNSET:
            _fork_stopped(written)
        case Resend():
            _fork_stopped(written)
        case _:
            pass


def _fork_stopped(written: WrittenBatch) -> None:
    if ("fork", written.peer) in written.before.alarms and ("fork", written.peer) in written.after.alarms:
        written.broken("its stream has stopped at a fork, and goes on")


def _message(written: WrittenBatch, sender: str, message: Message) -> None:
    """Check a message that has an effect: four eyes, and one change of an alert (SPEC P1.1, B3.3)."""
    body = message.body
    if body["type"] != "alert":
        return
    change = body.get("change")
    two = change is None or change["kind"] != "cancellation"
    if two and body["precedence"] in written.terms.policy.four_eyes and len(set(body["released_by"])) == 1:
        written.broken(f"message {message.seq} of {sender} needs two officers, and has one")
    if change is not None:
        before = [
            heard.reference
            for heard in written.after.heard
            if heard.body.get("change", {}).get("of") == change["of"]
            and heard.reference != Reference(sender, written.after.epoch, message.seq)
            and heard.reference.sender == sender
        ]
        refused = {_of(heard.body) for heard in written.after.heard if heard.body.get("by") == "service"}
        if any(reference not in refused for reference in before):
            written.broken(f"message {message.seq} of {sender} changes an alert that was changed before")


def _of(body: dict[str, Any]) -> Reference:
    return Reference(**body["of"])


def _refusals(written: WrittenBatch, effects: Iterable[AnyEffect]) -> set[Reference]:
    """Return the refusals of the peer that were refused in a record."""
    return {
        Reference(effect.sender, written.after.epoch, effect.message.seq)
        for effect in effects
        if isinstance(effect, Apply) and effect.refused is not UNSET and effect.message.body.get("type") == "refusal"
    }


# --- whole batches ----------------------------------------------------------------------------------------------------


def _undelivered(written: WrittenBatch) -> None:
    """Check that an epoch which leaves messages without a receipt raises the alarm about them (SPEC E2.1)."""
    for event, effects in written.batch:
        if isinstance(event, EpochOpened) and written.before.epoch:
            old = written.before.epoch
            left = sum(epoch == old for epoch, _ in written.before.queued) - written.before.settled[old]
            raised = {str(effect.alarm.code) for effect in effects if isinstance(effect, RaiseAlarm)}
            if left > 0 and "undelivered" not in raised:
                written.broken(f"{left} messages of epoch {old} are not receipted, and no alarm says it")


def _answered(written: WrittenBatch) -> None:
    """Check that a receipt leaves when one is owed, and that frames are sent again (SPEC R1.3, M4.2, M4.3)."""
    connects = any(isinstance(event, TransportConnected) for event, _ in written.batch)
    came = any(
        isinstance(event, FrameReceived)
        and event.channel == "message"
        and not any(isinstance(effect, RejectFrame) for effect in effects)
        for event, effects in written.batch
    )
    if written.world.keys_change:
        return
    if connects or came:
        receipts = [effect for effect in written.effects if isinstance(effect, Seal) and effect.upto is not UNSET]
        if not receipts:
            written.broken("no receipt has left, although one is owed")
    settled = written.after.settled[written.after.epoch]
    if (connects or _returned(written)) and ("fork", written.peer) not in written.after.alarms:
        again = {effect.first for effect in written.effects if isinstance(effect, Resend)}
        missing = {first for first, last in _sealed(written.earlier) if last > settled} - again
        if missing:
            written.broken(f"the frames that begin with {sorted(missing)} were not sent again")
    runs = _sealed([*written.earlier, *written.batch])
    if sum(last > settled for _, last in runs) > SEALED_MAX:
        written.broken(f"more than {SEALED_MAX} frames are not receipted")


def _returned(written: WrittenBatch) -> bool:
    """Return whether the peer's presence has returned while this side is connected."""
    if not any(isinstance(event, PeerPresenceChanged) and event.present for event, _ in written.batch):
        return False
    present, connected = True, False
    for event, _ in written.earlier:
        match event:
            case Started():
                present, connected = True, False
            case PeerPresenceChanged():
                present = event.present
            case TransportConnected() | TransportLost():
                connected = isinstance(event, TransportConnected)
            case _:
                pass
    return connected and not present


def _backed_off(written: WrittenBatch) -> None:
    """Check that a frame is sent again alone only after 1 s, 2 s, 4 s, ... with their jitter (SPEC M4.4)."""
    if not any(isinstance(effect, Resend) for effect in written.effects):
        return
    sent: dict[int, tuple[Millis, int]] = {}
    for event, effects in [*written.earlier, *written.batch]:
        if isinstance(event, EpochOpened):
            sent = {}
        for effect in effects:
            if isinstance(effect, Seal) and effect.first is not UNSET:
                sent[effect.first] = event.mono, 0
            elif isinstance(effect, Resend):
                last, tries = sent.get(effect.first, (event.mono, 0))
                alone = isinstance(event, DeadlineReached)
                wait = min(RESEND_MAX_MS, RESEND_MIN_MS << min(tries, 16)) * 3 // 4
                if alone and event.mono - last < wait:
                    written.broken(
                        f"the frame that begins with {effect.first} was sent again after less than {wait} ms"
                    )
                sent[effect.first] = event.mono, tries + 1 if alone else 0


def _answers_of_foreign(written: WrittenBatch) -> None:
    """Check that frames of other terms are answered at most once a minute (SPEC E3)."""
    foreign, answered = False, None
    for event, effects in [*written.earlier, *written.batch]:
        if isinstance(event, FrameReceived):
            foreign = any(isinstance(effect, RejectFrame) and effect.reason in _OTHER_TERMS for effect in effects)
        elif isinstance(event, EpochOpened | Started | TransportConnected):
            foreign, answered = False, None
        elif isinstance(event, BatchClosed) and foreign:
            foreign = False
            if any(isinstance(effect, Seal) and effect.upto is not UNSET for effect in effects):
                if answered is not None and event.mono - answered < FOREIGN_ANSWER_MS:
                    written.broken("frames of other terms were answered twice within a minute")
                answered = event.mono


def _sealed(records: Iterable[JournalRecord]) -> list[tuple[int, int]]:
    """Return the first and the last message of each frame of the open epoch."""
    runs: list[tuple[int, int]] = []
    for event, effects in records:
        if isinstance(event, EpochOpened):
            runs = []
        runs += [
            (effect.first, effect.last)
            for effect in effects
            if isinstance(effect, Seal) and effect.first is not UNSET and effect.last is not UNSET
        ]
    return runs
