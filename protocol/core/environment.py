"""Alarms about a link's environment: broker, presence, disk, refused frames, clocks, access (SPEC W3, M6, M8)."""

from __future__ import annotations

from typing import Literal

from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import AlarmCode
from protocol.core.core_state import CoreState, Suppressed
from protocol.core.deadlines import DAY, MINUTE, SECOND, Deadlines, Turn
from protocol.core.events import (
    CertificateSeen,
    CredentialsRefused,
    Event,
    FramesSuppressed,
    IdentityTakenOver,
    PeerPresenceChanged,
    SpaceLow,
    SpaceOk,
    TransportConnected,
    TransportLost,
)
from protocol.core.stream import SEALED_MAX
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import INTEGER_MAX, Identifier, Utc
from protocol.wire.refusals import ALTERED, OUTDATED, REPEATED, STALE_RECEIPT, FrameRefusal

BROKER_GRACE_MS: Millis = 30 * SECOND
"""How long the broker may be unreachable before an alarm is raised; a short reconnect raises none."""
QUIET_MS: Millis = 600 * SECOND
"""How long nothing of the kind must have happened before an alarm of repeated events is cleared."""
CERTIFICATE_LEADS_DAYS = (30, 7)
"""How long before a certificate's end `certificate_expiring` is raised: a first time, and again."""
REFUSALS_MAX = 10
"""Wrong credentials from one source within `REFUSALS_WITHIN_MS` that raise `credentials_refused`."""
REFUSALS_WITHIN_MS: Millis = 600 * SECOND
SOURCES_MAX = 128
"""Sources of wrong credentials that are remembered; with more, the least recently refused is forgotten."""
HONEST_COPIES = 1_000
"""A peer resends a frame once a minute while we are away: after half a day, the broker delivers 720 copies at once."""
HONEST_OUTDATED = 256
"""Twice the deliveries that a broker repeats after a connect, if our acknowledgements of them were lost."""

Way = Literal["ahead", "behind", "back"]
"""How a clock is wrong: it shows too much, or too little, or was set back."""

_BROKER = "broker/unreachable"
_HARMLESS = {
    FrameRefusal.TOO_FAR_AHEAD,
    FrameRefusal.DIRECTION_STOPPED,
    FrameRefusal.WRONG_EPOCH,
    FrameRefusal.WRONG_POLICY,
}
"""Refusals that an honest peer can cause, or that raise another alarm."""
_CERTIFICATES = {
    "own": "the certificate of this process",
    "authority": "the certificate of the broker's authority",
    "broker": "the certificate of the broker",
}
_HONEST: dict[str, tuple[int, int]] = {
    **dict.fromkeys(_HARMLESS, (HONEST_COPIES, 60)),
    STALE_RECEIPT: (HONEST_COPIES, 60),
    # on a slow line, each frame may be sent again before its receipt is here
    REPEATED: (HONEST_COPIES, 500),
    OUTDATED: (HONEST_OUTDATED, 2),
    # all that is unreceipted, signed again with another key
    ALTERED: (SEALED_MAX, 1),
}
"""How many suppressed frames an honest peer and broker can cause, by reason: at once, and in each minute after that
(SPEC M6.2). For other reasons they cause none."""

_WAYS: dict[Way, str] = {"ahead": "is ahead", "behind": "is behind", "back": "went back"}


class Environment:
    """Raises and clears the alarms about the environment of one core."""

    def __init__(self, state: CoreState, deadlines: Deadlines, alarms: AlarmBook) -> None:
        self.state = state
        self._deadlines = deadlines
        self._alarms = alarms

    def take(self, turn: Turn, event: Event) -> None:
        """Handle an event of the broker, the peer's presence, the disk, or suppressed frames; ignore others."""
        match event:
            case TransportConnected():
                self.connected(turn)
            case TransportLost():
                self.lost(turn)
            case IdentityTakenOver():
                self.taken_over(turn, event)
            case PeerPresenceChanged():
                self.presence_changed(turn, event)
            case SpaceLow():
                self.space_low(turn, event)
            case SpaceOk():
                self.space_ok(turn)
            case FramesSuppressed():
                self.suppressed(turn, event)
            case CertificateSeen():
                self.certificate_seen(turn, event)
            case CredentialsRefused():
                self.credentials_refused(turn, event)
            case _:
                pass

    # --- the broker and the peer ----------------------------------------------------------------------------------

    def started(self, turn: Turn) -> None:
        """Forget the connection and presence of an earlier run, and start the broker's deadline."""
        self.state.connected = False
        self.state.present = {}
        self._await_broker(turn)

    def connected(self, turn: Turn) -> None:
        """Note that the broker has accepted the session."""
        self.state.connected = True
        self._deadlines.disarm(_BROKER)
        self._alarms.clear(turn, AlarmCode.BROKER_UNREACHABLE, "broker")

    def lost(self, turn: Turn) -> None:
        """Note that the connection is lost, or could not be made."""
        self.state.connected = False
        self._await_broker(turn)

    def _await_broker(self, turn: Turn) -> None:
        if not self._deadlines.runs(_BROKER):
            self._deadlines.arm(turn, _BROKER, BROKER_GRACE_MS)

    def taken_over(self, turn: Turn, event: IdentityTakenOver) -> None:
        """Raise the alarm that another client connects with our certificate."""
        detail = f"{event.times} connections with the certificate of {self.state.side} were taken over"
        self._raise_until_quiet(turn, AlarmCode.IDENTITY_IN_USE, self.state.side, detail)

    def presence_changed(self, turn: Turn, event: PeerPresenceChanged) -> None:
        """Note a party's presence as the broker reports it: a hint, not evidence."""
        self.state.present[event.party] = event.present
        if event.present:
            self._alarms.clear(turn, AlarmCode.PEER_DISCONNECTED, event.party)
        else:
            self._alarms.raise_alarm(
                turn, AlarmCode.PEER_DISCONNECTED, event.party, detail=f"the broker says that {event.party} is gone"
            )

    # --- the disk -------------------------------------------------------------------------------------------------

    def space_low(self, turn: Turn, event: SpaceLow) -> None:
        """Raise the alarm that the journal's disk is nearly full."""
        detail = f"{event.free_bytes // 2**20} MiB are left for the journal: new alerts are refused"
        self._alarms.raise_alarm(turn, AlarmCode.SPACE_LOW, "journal", detail=detail)

    def space_ok(self, turn: Turn) -> None:
        """Clear the alarm: the disk has room again."""
        self._alarms.clear(turn, AlarmCode.SPACE_LOW, "journal")

    # --- false frames and wrong clocks ----------------------------------------------------------------------------

    def refused(self, turn: Turn, sender: Identifier, refusal: RemoteProtocolError) -> None:
        """Raise `bad_frames` for a refused frame of `sender`, unless the refusal is harmless (SPEC M6.1)."""
        if refusal.reason not in _HARMLESS:
            detail = f"a frame of {sender} was refused: {refusal}"
            self._raise_until_quiet(turn, AlarmCode.BAD_FRAMES, sender, detail)

    def suppressed(self, turn: Turn, event: FramesSuppressed) -> None:
        """Raise `bad_frames` for suppressed frames, if an honest peer cannot cause that many (SPEC M6.2)."""
        at_once, a_minute = _HONEST.get(event.reason, (0, 0))
        known = self.state.suppressed.get(event.reason)
        left = 0 if known is None else max(0, known.level - a_minute * (turn.age - known.age) // MINUTE)
        level = min(left + event.count, INTEGER_MAX)
        if a_minute:
            self.state.suppressed[event.reason] = Suppressed(level, turn.age)
        if level > at_once:
            detail = f"{event.count} more frames refused: {event.reason}"
            self._raise_until_quiet(turn, AlarmCode.BAD_FRAMES, "any", detail)

    def skew(
        self, turn: Turn, party: Identifier, way: Way, by_ms: Millis, limit_ms: Millis, *, clears: bool = True
    ) -> None:
        """Raise `clock_skew`, or let it end. The caller measures so that a delay cannot cause it (SPEC M8.1).

        It ends ten minutes after a right time, unless another wrong one comes meanwhile (SPEC M8.9). `clears` is
        whether a right time proves anything.
        """
        subject = f"{party}/{way}"
        quiet = f"quiet/{AlarmCode.CLOCK_SKEW}/{subject}"
        if by_ms > limit_ms:
            detail = f"the clock of {party} {_WAYS[way]} by at least {by_ms // SECOND} s"
            self._deadlines.disarm(quiet)
            self._alarms.raise_alarm(turn, AlarmCode.CLOCK_SKEW, subject, detail=detail)
        elif clears and self._alarms.active(AlarmCode.CLOCK_SKEW, subject) and not self._deadlines.runs(quiet):
            self._deadlines.arm(turn, quiet, QUIET_MS)

    # --- access ---------------------------------------------------------------------------------------------------

    def certificate_seen(self, turn: Turn, event: CertificateSeen) -> None:
        """Raise `certificate_expiring` for each lead that the certificate's end is within; clear the others."""
        ends = parsed(event.ends_at)
        for days in CERTIFICATE_LEADS_DAYS:
            subject = f"{event.whose}/{days}d"
            due = ends - days * DAY
            if turn.at >= due:
                detail = f"{_CERTIFICATES[event.whose]} ends on {event.ends_at}: renew it before"
                self._alarms.raise_alarm(
                    turn, AlarmCode.CERTIFICATE_EXPIRING, subject, written(max(due, 0)), detail=detail
                )
            else:
                self._alarms.clear(turn, AlarmCode.CERTIFICATE_EXPIRING, subject)

    def credentials_refused(self, turn: Turn, event: CredentialsRefused) -> None:
        """Raise `credentials_refused` for a source of `REFUSALS_MAX` wrong credentials in `REFUSALS_WITHIN_MS`."""
        sources, source = self.state.credentials_refused, event.source
        since = turn.age - REFUSALS_WITHIN_MS
        recent = [each for each in sources.pop(source, ()) if each[0] > since]
        # each report counts at least one, so the last ten decide
        recent = [*recent, (turn.age, event.count)][-REFUSALS_MAX:]
        sources[source] = tuple(recent)
        if len(sources) > SOURCES_MAX:
            del sources[next(iter(sources))]
        count = sum(refused for _, refused in recent)
        code = AlarmCode.CREDENTIALS_REFUSED
        if count >= REFUSALS_MAX or self._alarms.active(code, source):
            self._raise_until_quiet(turn, code, source, f"{count} wrong credentials of officers from {source}")

    # --- deadlines ------------------------------------------------------------------------------------------------

    def _raise_until_quiet(self, turn: Turn, code: AlarmCode, subject: str, detail: str) -> None:
        self._alarms.raise_alarm(turn, code, subject, detail=detail)
        self._deadlines.arm(turn, f"quiet/{code}/{subject}", QUIET_MS)

    def overdue(self, turn: Turn, kind: str, subject: str, raised_at: Utc) -> None:
        """Handle a deadline: the broker is unreachable for too long, or nothing bad has happened for long enough."""
        if kind == "quiet":
            code, _, subject = subject.partition("/")
            self._alarms.clear(turn, AlarmCode(code), subject)
        else:
            self._alarms.raise_alarm(
                turn, AlarmCode.BROKER_UNREACHABLE, "broker", raised_at, "no connection to the broker"
            )
