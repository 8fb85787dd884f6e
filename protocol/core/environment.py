"""Alarms about a link's environment: broker, presence, disk, refused frames, clocks, access (SPEC W3, M6, M8)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import AlarmCode
from protocol.core.core_state import CoreState, Suppressed
from protocol.core.deadlines import DAY, MINUTE, SECOND, Deadlines, Turn
from protocol.core.event import Event
from protocol.core.events import (
    CertificateSeen,
    CredentialsRefused,
    FramesSuppressed,
    IdentityTakenOver,
    ListenersBack,
    ListenersMissing,
    PeerPresenceChanged,
    PublishRefused,
    SinkFailed,
    SinkReached,
    SpaceLow,
    SpaceOk,
    TransportConnected,
    TransportLost,
)
from protocol.core.stream import SEALED_MAX
from protocol.errors import RemoteProtocolError
from protocol.phrases import Phrase, Said, phrase, rephrased, said
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import INTEGER_MAX, Identifier, Utc
from protocol.wire.refusals import ALTERED, OUTDATED, REPEATED, STALE_RECEIPT, FrameRefusal

BROKER_GRACE_MS: Millis = 30 * SECOND
"""How long the broker may be unreachable before an alarm is raised; a short reconnect raises none."""
GONE_MS: Millis = 5 * SECOND
"""How long a party must stay gone before an alarm is raised: a broker that stops calls both parties gone before it
closes their connections (SPEC W3.1)."""
TROUBLE_MAX = 200
"""Characters of the reason of a lost connection that are kept."""
NOT_AUTHORISED = 0x87
"""The MQTT reason code of a broker whose access list forbids what was asked for."""
QUIET_MS: Millis = 600 * SECOND
"""How long nothing of the kind must have happened before an alarm of repeated events is cleared."""
RULES_THAT_SIGN_PRESENCE = 6
"""The first rules under which a party also counts as gone while its signed signs of life stay out."""
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

CONSOLE = "console"
"""The subject of `nobody_listening`."""
GONE, BROKER, QUIET = "gone", "broker", "quiet"
"""The kinds of the deadlines here; nothing that an officer waits for."""
_BROKER = f"{BROKER}/unreachable"
_NO_CONNECTION = phrase("no connection to the broker")
_HARMLESS = {
    FrameRefusal.TOO_FAR_AHEAD,
    FrameRefusal.DIRECTION_STOPPED,
    FrameRefusal.WRONG_EPOCH,
    FrameRefusal.WRONG_POLICY,
}
"""Refusals that an honest peer can cause, or that raise another alarm."""
_CERTIFICATES = {
    "own": phrase("the certificate of this process"),
    "authority": phrase("the certificate of the broker's authority"),
    "broker": phrase("the certificate of the broker"),
}
_SINKS = {
    "log": phrase("the log"),
    "command": phrase("the command that notifies the duty officer"),
    "webhook": phrase("the webhook that notifies the duty officer"),
    "dead_man": phrase("the monitor that expects a sign of life from this process"),
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
                self.lost(turn, event)
            case IdentityTakenOver():
                self.taken_over(turn, event)
            case PeerPresenceChanged():
                self.presence_changed(turn, event)
            case PublishRefused():
                self.publish_refused(turn, event)
            case SpaceLow():
                self.space_low(turn, event)
            case SpaceOk():
                self.space_ok(turn)
            case FramesSuppressed():
                self.suppressed(turn, event)
            case SinkFailed():
                self.sink_failed(turn, event)
            case SinkReached():
                self._alarms.clear(turn, AlarmCode.SINK_FAILING, event.sink)
            case ListenersMissing():
                self.listeners_missing(turn)
            case ListenersBack():
                self._alarms.clear(turn, AlarmCode.NOBODY_LISTENING, CONSOLE)
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
        self._note_trouble("", UNSET)
        self._forget_presence()
        self.state.present = {}
        self._await_broker(turn)

    def connected(self, turn: Turn) -> None:
        """Note that the broker has accepted the session."""
        self.state.connected = True
        self._note_trouble("", UNSET)
        self._deadlines.disarm(_BROKER)
        self._alarms.clear(turn, AlarmCode.BROKER_UNREACHABLE, "broker")

    def lost(self, turn: Turn, event: TransportLost) -> None:
        """Note that the connection is lost, or could not be made, and why.

        A broker that stops reports the parties as gone before it closes this connection; that accuses nobody (W3.1).
        """
        self.state.connected = False
        self._note_trouble(event.reason, event.said)
        self._forget_presence()
        for alarm in [] if turn.older else list(self._alarms):
            if alarm.code is AlarmCode.PEER_DISCONNECTED and parsed(alarm.detected_at) > turn.at - GONE_MS:
                self._alarms.clear(turn, alarm.code, alarm.subject)
        self._alarms.explain(turn, AlarmCode.BROKER_UNREACHABLE, "broker", self._trouble())
        self._await_broker(turn)

    def _forget_presence(self) -> None:
        """Note that nobody's presence is known any more."""
        for party in self.state.present:
            self._deadlines.disarm(f"{GONE}/{party}")
        self.state.present = {party: None for party, present in self.state.present.items() if not present}

    def _note_trouble(self, reason: str, made_from: Said | UnsetType) -> None:
        """Keep the reason in the form in which a checkpoint keeps it: a phrase would be lost there."""
        trouble = rephrased(str(reason)[:TROUBLE_MAX], made_from)
        self.state.connection_trouble, self.state.connection_trouble_said = str(trouble), said(trouble)

    def _trouble(self) -> str:
        reason = rephrased(self.state.connection_trouble, self.state.connection_trouble_said)
        return phrase("no connection to the broker: {reason}", reason=reason) if reason else _NO_CONNECTION

    def _await_broker(self, turn: Turn) -> None:
        if not self._deadlines.runs(_BROKER):
            self._deadlines.arm(turn, _BROKER, BROKER_GRACE_MS)

    def publish_refused(self, turn: Turn, event: PublishRefused) -> None:
        """Raise the alarm that the broker refuses what we publish, or say why it does so now."""
        subject = f"publish/{event.channel}"
        if event.code == NOT_AUTHORISED:
            detail = phrase(
                "the broker refuses what we publish: its access list gives this certificate no right to (code {code})",
                code=event.code,
            )
        else:
            reason = str(event.reason)[:TROUBLE_MAX]
            detail = phrase(
                "the broker refuses what we publish: {reason} (code {code})", reason=reason, code=event.code
            )
        self._alarms.explain(turn, AlarmCode.BROKER_UNREACHABLE, subject, detail)
        self._alarms.raise_alarm(turn, AlarmCode.BROKER_UNREACHABLE, subject, detail=detail)

    def taken_over(self, turn: Turn, event: IdentityTakenOver) -> None:
        """Raise the alarm that another client connects with our certificate."""
        detail = phrase(
            "{times} connections with the certificate of {party} were taken over",
            times=event.times,
            party=self.state.side,
        )
        self._raise_until_quiet(turn, AlarmCode.IDENTITY_IN_USE, self.state.side, detail)

    def presence_changed(self, turn: Turn, event: PeerPresenceChanged) -> None:
        """Note a party's presence as the broker reports it: a hint, not evidence."""
        key = f"{GONE}/{event.party}"
        self.state.present[event.party] = event.present
        if event.present:
            self._deadlines.disarm(key)
            self._alarms.clear(turn, AlarmCode.PEER_DISCONNECTED, event.party)
        elif turn.older:
            self._gone(turn, event.party, turn.utc)
        elif not self._deadlines.runs(key) and not self._alarms.active(AlarmCode.PEER_DISCONNECTED, event.party):
            self._deadlines.arm(turn, key, GONE_MS)

    # --- the disk -------------------------------------------------------------------------------------------------

    def space_low(self, turn: Turn, event: SpaceLow) -> None:
        """Raise the alarm that the journal's disk is nearly full."""
        detail = phrase("{free} MiB are left for the journal: new alerts are refused", free=event.free_bytes // 2**20)
        self._alarms.raise_alarm(turn, AlarmCode.SPACE_LOW, "journal", detail=detail)

    def space_ok(self, turn: Turn) -> None:
        """Clear the alarm: the disk has room again."""
        self._alarms.clear(turn, AlarmCode.SPACE_LOW, "journal")

    # --- what is reported to outside ------------------------------------------------------------------------------

    def sink_failed(self, turn: Turn, event: SinkFailed) -> None:
        """Raise the alarm that people may not be reached, or say why that is so now. A restart does not clear it."""
        detail = phrase("{sink} fails: {why}", sink=_SINKS[event.sink], why=rephrased(str(event.why), event.said))
        self._alarms.explain(turn, AlarmCode.SINK_FAILING, event.sink, detail)
        self._alarms.raise_alarm(turn, AlarmCode.SINK_FAILING, event.sink, detail=detail)

    def listeners_missing(self, turn: Turn) -> None:
        """Raise the alarm that nobody would hear an alarm. A restart does not clear it."""
        detail = phrase("no screen of a console has its sound on, so nobody would hear an alarm")
        self._alarms.raise_alarm(turn, AlarmCode.NOBODY_LISTENING, CONSOLE, detail=detail)

    # --- false frames and wrong clocks ----------------------------------------------------------------------------

    def refused(self, turn: Turn, sender: Identifier, refusal: RemoteProtocolError) -> None:
        """Raise `bad_frames` for a refused frame of `sender`, unless the refusal is harmless (SPEC M6.1)."""
        if refusal.reason not in _HARMLESS:
            detail = phrase("a frame of {sender} was refused: {refusal}", sender=sender, refusal=refusal)
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
            detail = phrase("{count} more frames refused: {reason}", count=event.count, reason=event.reason)
            self._raise_until_quiet(turn, AlarmCode.BAD_FRAMES, "any", detail)

    def skew(
        self, turn: Turn, party: Identifier, way: Way, by_ms: Millis, limit_ms: Millis, *, clears: bool = True
    ) -> None:
        """Raise `clock_skew`, or let it end. The caller measures so that a delay cannot cause it (SPEC M8.1).

        It ends ten minutes after a right time, unless another wrong one comes meanwhile (SPEC M8.9). `clears` is
        whether a right time proves anything.
        """
        if by_ms <= limit_ms and not clears:
            return
        subject = f"{party}/{way}"
        quiet = f"{QUIET}/{AlarmCode.CLOCK_SKEW}/{subject}"
        if by_ms > limit_ms:
            self._deadlines.disarm(quiet)
            self._alarms.raise_alarm(turn, AlarmCode.CLOCK_SKEW, subject, detail=_skewed(party, way, by_ms // SECOND))
        elif self._alarms.active(AlarmCode.CLOCK_SKEW, subject) and not self._deadlines.runs(quiet):
            self._deadlines.arm(turn, quiet, QUIET_MS)

    # --- access ---------------------------------------------------------------------------------------------------

    def certificate_seen(self, turn: Turn, event: CertificateSeen) -> None:
        """Raise `certificate_expiring` for each lead that the certificate's end is within; clear the others."""
        ends = parsed(event.ends_at)
        code = AlarmCode.CERTIFICATE_EXPIRING
        values = {"certificate": _CERTIFICATES[event.whose], "instant": event.ends_at}
        if turn.at < ends:
            detail = phrase("{certificate} ends on {instant}: renew it before", **values)
        else:
            detail = phrase("{certificate} has ended on {instant}: renew it", **values)
        for days in CERTIFICATE_LEADS_DAYS:
            subject = f"{event.whose}/{days}d"
            due = ends - days * DAY
            if turn.at >= due:
                self._alarms.explain(turn, code, subject, detail)
                self._alarms.raise_alarm(turn, code, subject, written(max(due, 0)), detail=detail)
            else:
                self._alarms.clear(turn, code, subject)

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
            detail = phrase("{count} wrong credentials of officers from {source}", count=count, source=source)
            self._raise_until_quiet(turn, code, source, detail)

    # --- deadlines ------------------------------------------------------------------------------------------------

    def _raise_until_quiet(self, turn: Turn, code: AlarmCode, subject: str, detail: str) -> None:
        self._alarms.raise_alarm(turn, code, subject, detail=detail)
        self._deadlines.arm(turn, f"{QUIET}/{code}/{subject}", QUIET_MS)

    def overdue(self, turn: Turn, kind: str, subject: str, raised_at: Utc) -> None:
        """Handle a deadline: a party or the broker is gone for too long, or nothing bad happened for long enough."""
        if kind == QUIET:
            code, _, subject = subject.partition("/")
            self._alarms.clear(turn, AlarmCode(code), subject)
        elif kind == GONE:
            self._gone(turn, subject, raised_at)
        else:
            self._alarms.raise_alarm(turn, AlarmCode.BROKER_UNREACHABLE, "broker", raised_at, self._trouble())

    def _gone(self, turn: Turn, party: Identifier, raised_at: Utc) -> None:
        if turn.rules < RULES_THAT_SIGN_PRESENCE:
            detail = phrase("the broker says that {party} is gone", party=party)
        else:
            detail = phrase("{party} is gone, or nothing signed by it arrives", party=party)
        self._alarms.raise_alarm(turn, AlarmCode.PEER_DISCONNECTED, party, raised_at, detail)


def _skewed(party: Identifier, way: Way, seconds: int) -> Phrase:
    if way == "back":
        return phrase("the clock of {party} went back by at least {seconds} s", party=party, seconds=seconds)
    if way == "ahead":
        return phrase("the clock of {party} is ahead by at least {seconds} s", party=party, seconds=seconds)
    return phrase("the clock of {party} is behind by at least {seconds} s", party=party, seconds=seconds)
