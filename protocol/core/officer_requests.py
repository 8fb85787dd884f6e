"""Turns officers' requests into messages, with a second officer where the policy demands one (SPEC B, P1).

A request is checked before anything changes; one that cannot be met raises LocalProtocolError.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType, field, structs

from protocol.core.acts import ActedFirstError, Item, check_seen
from protocol.core.alerts import AlertState, OpenAlert
from protocol.core.deadlines import SECOND, Turn
from protocol.core.drafts import Drafts, DraftsState, alert_of, expired
from protocol.core.duty import OwnWords
from protocol.core.epoch import Epoch
from protocol.core.events import (
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
)
from protocol.core.own_stream import OwnStream
from protocol.core.rules import is_cancellation
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    Change,
    Digest,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Reference,
    Refusal,
    Texts,
    Utc,
)
from protocol.wire.words import challenge

CANCELLATIONS_KEPT = 1_024
"""The limit of prepared cancellations that are kept."""
ANOTHER: tuple[Identifier, Identifier] = ("another", "someone")
"""A stand-in for the second officer while a draft is checked: the one that is not the author's name."""
NAME_BYTES = 32
"""How much longer than the stand-in the second officer's name may be."""
CHANGE_BYTES = 256
"""The bytes that `change` adds to a cancellation once its alert has a reference."""
CANCELLATION_LIFE_MS: Millis = 86_400 * SECOND
"""How long a cancellation is valid: longer than anybody will act on the alert."""
STANDING_CANCELLATION: Texts = {
    "en": "This cancels our earlier message. Disregard it.",
    "ru": "Настоящим отменяем наше предыдущее сообщение. Просим считать его недействительным.",
}
"""The text of a cancellation if none was prepared with the alert."""


_CLOSED = {
    AlertState.REFUSED: phrase("is refused already"),
    AlertState.CANCELLED: phrase("is cancelled already"),
    AlertState.CHANGED: phrase("is changed already"),
}


class OfficerRequestsState(DraftsState):
    """State of officers' requests in a checkpoint."""

    # prepared texts of cancellations, by the reference of the alert
    cancellations: dict[str, Texts] = field(default_factory=dict)


OfficerRequest = (
    OfficerRaisedAlert
    | OfficerReleased
    | OfficerAnswered
    | OfficerAcknowledged
    | OfficerRefused
    | OfficerCancelled
    | LineTestRequested
)
"""Requests that lead to a message or a draft."""


class OfficerRequests:
    """The requests of one side's officers in one epoch."""

    def __init__(
        self,
        state: OfficerRequestsState,
        side: Identifier,
        words: OwnWords,
        drafts: Drafts,
        own: OwnStream,
        epoch: Epoch,
    ) -> None:
        self._state = state
        self._side = side
        self._words = words
        self._drafts = drafts
        self._own = own
        self._terms = epoch.terms
        self._watch = epoch.watch
        self._alerts = epoch.alerts

    def take(self, turn: Turn, event: OfficerRequest) -> str:
        """Do what an officer asks for; return what it led to: a message's reference, or a draft's.

        Raises LocalProtocolError for a request that cannot be met; then nothing has changed.
        """
        match event:
            case OfficerRaisedAlert():
                reached = self.raise_alert(turn, event)
            case OfficerReleased():
                reached = self.release(turn, event)
            case OfficerAnswered():
                reached = self.answer(turn, event)
            case OfficerAcknowledged():
                reached = self.acknowledge(turn, event)
            case OfficerRefused():
                reached = self.refuse(turn, event)
            case OfficerCancelled():
                reached = self.discard(turn, event) if event.of is UNSET else self.cancel(turn, event, event.of)
            case _:
                reached = self.test_line(turn, event)
        return f"draft/{reached}" if isinstance(reached, int) else str(reached)

    # --- alerts ---------------------------------------------------------------------------------------------------

    def raise_alert(self, turn: Turn, event: OfficerRaisedAlert) -> Reference | int:
        """Send an alert, or hold it for a second officer (SPEC P1.1). Return its reference or its draft's number."""
        alert = self._alert(turn, event, (event.officer,))
        # check the alert in the form in which it will be released: by two officers
        another = ANOTHER[event.officer == ANOTHER[0]]
        by_two = structs.replace(alert, released_by=(event.officer, another))
        if event.cancellation is not UNSET:
            self._own.check_sayable(structs.replace(by_two, text=event.cancellation, references=UNSET), CHANGE_BYTES)
        if event.precedence not in self._terms.policy.four_eyes:
            return self._send(turn, event, alert)
        self._own.check_sayable(by_two, NAME_BYTES)
        self._drafts.check_room()
        # a later epoch may have another status: the draft keeps the one that was checked
        return self._drafts.hold(turn, structs.replace(event, status=alert.status))

    def release(self, turn: Turn, event: OfficerReleased) -> Reference:
        """Send a held alert in the names of two officers (SPEC P1.1)."""
        draft, item = self._drafts.find(event.draft)
        if event.officer == draft.officer:
            raise LocalProtocolError(
                "four_eyes",
                phrase(
                    "{officer} wrote {draft}: another officer must release it",
                    officer=event.officer,
                    draft=f"draft/{event.draft}",
                ),
            )
        check_seen(item, event.seen)
        if parsed(draft.expires_at) <= turn.at:
            raise expired(f"draft/{event.draft}", draft.expires_at)
        reference = self._send(turn, draft, self._alert(turn, draft, (draft.officer, event.officer)))
        self._drafts.end(turn, event.draft, "released", event.officer, reference)
        return reference

    def discard(self, turn: Turn, event: OfficerCancelled) -> int:
        """Discard a draft, also one that has expired (SPEC P1.6)."""
        if event.draft is UNSET:
            raise LocalProtocolError("unknown_reference", phrase("name the alert to cancel, or the draft to discard"))
        _, item = self._drafts.find(event.draft)
        check_seen(item, event.seen)
        self._drafts.end(turn, event.draft, "discarded", event.officer)
        return event.draft

    def _alert(self, turn: Turn, event: OfficerRaisedAlert, officers: tuple[Identifier, ...]) -> Alert:
        _check_instant("event_at", event.event_at)
        if _check_instant("expires_at", event.expires_at) <= turn.at:
            raise LocalProtocolError(
                "expired", phrase("the alert expired at {at}; it is {now}", at=event.expires_at, now=turn.utc)
            )
        if (event.changes is UNSET) != (event.change_kind is UNSET):
            raise LocalProtocolError("wrong_change", phrase("a change names both the alert and update or correction"))
        if event.changes is not UNSET:
            self._own_alert(event.changes, UNSET)
        return alert_of(event, self._terms.policy.status, officers)

    def _send(self, turn: Turn, event: OfficerRaisedAlert, alert: Alert) -> Reference:
        reference = self._own.say(turn, alert)
        cancellations = self._state.cancellations
        if event.cancellation is not UNSET:
            cancellations[str(reference)] = event.cancellation
        if len(cancellations) > CANCELLATIONS_KEPT:
            del cancellations[next(iter(cancellations))]
        return reference

    def cancel(self, turn: Turn, event: OfficerCancelled, of: Reference) -> Reference:
        """Cancel alert `of` of our own side, with the text prepared for it (SPEC P1.3)."""
        opened = self._own_alert(of, event.seen)
        cancellation = structs.replace(
            opened.alert,
            event_at=turn.utc,
            expires_at=written(turn.at + CANCELLATION_LIFE_MS),
            text=self._cancellation_of(str(of), opened),
            released_by=(event.officer,),
            references=UNSET,
            change=Change(of=of, kind="cancellation"),
        )
        return self._own.say(turn, cancellation)

    def cancellations(self) -> dict[str, Texts]:
        """Return what the cancellation of each alert would say now, without those that can't be cancelled."""
        own = f"{self._side}/"
        return {
            ref: self._cancellation_of(ref, opened)
            for ref, opened in self._alerts.known().items()
            if ref.startswith(own)
            and opened.state not in {AlertState.CANCELLED, AlertState.CHANGED}
            and not (is_cancellation(opened.alert) or opened.refused_by_service())
        }

    def _cancellation_of(self, reference: str, opened: OpenAlert) -> Texts:
        """Return the text that was prepared for the cancellation of an alert, else the standing text."""
        standing = {
            language: STANDING_CANCELLATION.get(language, STANDING_CANCELLATION["en"]) for language in opened.alert.text
        }
        return self._state.cancellations.get(reference) or standing

    def _own_alert(self, of: Reference, seen: Digest | UnsetType) -> OpenAlert:
        opened = self._alerts.get(of)
        if opened is None or of.sender != self._side or is_cancellation(opened.alert):
            raise LocalProtocolError(
                "unknown_reference",
                phrase("{reference} is no alert of {side} that can be changed", reference=of, side=self._side),
            )
        item = opened.item(of)
        check_seen(item, seen)
        if opened.state in {AlertState.CANCELLED, AlertState.CHANGED}:
            by = self._alerts.changed_by(of)
            if opened.state is AlertState.CANCELLED:
                raise ActedFirstError(
                    "already_done", item, phrase("is cancelled already, by {reference}", reference=by)
                )
            raise ActedFirstError("already_done", item, phrase("is changed already, by {reference}", reference=by))
        if opened.refused_by_service():  # SPEC B6.3
            raise LocalProtocolError(
                "already_done",
                phrase(
                    "the other side's service refused {reference}: no officer there acts on it, and it cannot be "
                    "changed",
                    reference=of,
                ),
            )
        return opened

    # --- answers --------------------------------------------------------------------------------------------------

    def answer(self, turn: Turn, event: OfficerAnswered) -> Reference:
        """Answer the other side's line test with its three words (SPEC B2.3)."""
        test = self._watch.state.tests.get(str(event.of))
        if test is None or event.of.sender == self._side:
            raise LocalProtocolError(
                "unknown_reference", phrase("{reference} is no line test of the other side", reference=event.of)
            )
        item = test.item(event.of, self._side)
        check_seen(item, event.seen)
        if test.answer is not None:
            raise ActedFirstError("already_done", item, phrase("is answered already"))
        if event.read_back != test.heartbeat.challenge:
            raise LocalProtocolError(
                "wrong_words", phrase("the three words differ from those of the test: read them again")
            )
        policy = self._terms.policy
        return self._own.say(
            turn,
            HeartbeatAnswer(
                of=event.of,
                language=policy.test_language,
                text=event.text or self._words.answer_of(policy),
                read_back=event.read_back,
                officer=event.officer,
            ),
        )

    def acknowledge(self, turn: Turn, event: OfficerAcknowledged) -> Reference:
        """Acknowledge the other side's alert (SPEC B4.1)."""
        self._check_peer_alert(event)
        return self._own.say(
            turn, Acknowledgement(of=event.of, officer=event.officer, decision=event.decision, text=event.text)
        )

    def refuse(self, turn: Turn, event: OfficerRefused) -> Reference:
        """Refuse the other side's alert, perhaps with a referral to another channel (SPEC B5.1)."""
        self._check_peer_alert(event)
        return self._own.say(
            turn,
            Refusal(
                of=event.of,
                by="officer",
                officer=event.officer,
                reason=event.reason,
                referral=event.referral,
                text=event.text,
            ),
        )

    def item_of_peer_alert(self, of: Reference) -> Item | None:
        """Return the item of the other side's alert, None if it is not known here."""
        opened = self._alerts.get(of)
        return None if opened is None or of.sender == self._side else opened.item(of)

    def _check_peer_alert(self, event: OfficerAcknowledged | OfficerRefused) -> None:
        """Raise LocalProtocolError if the other side's alert can't be replied to, or not without reading it again.

        An officer who gives no `seen` has seen the acts of their side up to their own last one (SPEC P2.3).
        """
        opened = self._alerts.get(event.of)
        item = self.item_of_peer_alert(event.of)
        if opened is None or item is None:
            raise LocalProtocolError(
                "unknown_reference",
                phrase("{reference} is no alert of the other side that is open here", reference=event.of),
            )
        check_seen(item, event.seen)
        if opened.state in _CLOSED:
            raise ActedFirstError("already_done", item, _CLOSED[opened.state])
        if event.seen is UNSET and item.last_act_of_another(event.officer):
            raise ActedFirstError("changed_since_seen", item, phrase("was not seen as it is now"))

    # --- line tests -----------------------------------------------------------------------------------------------

    def check_placer(self, event: LineTestRequested) -> None:
        """Raise LocalProtocolError(not_authorised) for the test of a slot that no officer places (SPEC W1.7)."""
        slot = self._slot_to_place(event.at)
        if slot is not None and event.officer is UNSET:
            raise LocalProtocolError(
                "not_authorised",
                phrase("the slot of {slot} is open, and an officer has to place its test: name the officer", slot=slot),
            )

    def _slot_to_place(self, at: Millis) -> Utc | None:
        """Return the open slot whose test an officer of this side has to place, None if there is none."""
        placing = self._side == self._terms.caller and self._terms.policy.placed_by == "officer"
        return self._watch.open_slot(at) if placing else None

    def test_line(self, turn: Turn, event: LineTestRequested) -> Reference:
        """Place a line test: that of the open slot if officers place them, else an unscheduled one (SPEC W1.3)."""
        reference = self.place_test(turn, event.nonce, self._slot_to_place(turn.at))
        if event.officer is not UNSET:
            self._watch.placed(reference, event.officer)
        return reference

    def place_test(self, turn: Turn, nonce: str, slot: Utc | None) -> Reference:
        """Send a line test whose words derive from `nonce`."""
        policy = self._terms.policy
        return self._own.say(
            turn,
            Heartbeat(
                status=policy.status,
                language=policy.test_language,
                text=self._words.test_of(policy),
                challenge=challenge(nonce, policy.test_language),
                slot=slot or UNSET,
            ),
        )


def _check_instant(name: str, text: Utc) -> Millis:
    try:
        return parsed(text)
    except ValueError as error:
        raise LocalProtocolError("wrong_instant", phrase("{field}: {error}", field=name, error=error)) from error
