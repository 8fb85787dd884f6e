"""One link in this process: its core, its journal, and what of the outside the core cannot know.

A room is owned by the loop alone. In one turn it takes events, closes the batch, appends it with one flush, and only
then performs what the core asked for. An error of its journal stops this room at once, and no other.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from importlib.metadata import version
from typing import Generic, TypeVar, cast

import structlog
from msgspec import Struct, structs

from endpoints.clocks import slots
from endpoints.config.link_file import LinkFile
from endpoints.errors import UserError
from endpoints.failpoints import failpoint
from endpoints.journal.space_watch import SpaceWatch
from endpoints.journal.writer import JournalFailure, JournalWriter, Sign
from endpoints.mqtt.topics import Topic
from endpoints.notify import Notifier
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.rate_limits import PresenceCap, RefusalCap, RepeatCap
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.core import Core
from protocol.core.deadlines import Deadline
from protocol.core.effects import AnyEffect, Notify
from protocol.core.events import (
    AnyEvent,
    BatchClosed,
    DeadlineReached,
    EpochOpened,
    FrameReceived,
    FramesSuppressed,
    KeysEnrolled,
    PeerPresenceChanged,
    Request,
    SlotsPlanned,
    Started,
    Stopped,
    TransportConnected,
    TransportLost,
)
from protocol.errors import LinkError
from protocol.wire.digests import policy_digest
from protocol.wire.instants import Millis, written
from protocol.wire.keyring import Keyring
from protocol.wire.messages import FRAME_MAX_BYTES
from protocol.wire.refusals import VERIFIED

DAY_MS = 86_400_000
PLANNED_MS = 14 * DAY_MS
"""Slots are planned this far ahead."""
PLAN_AGAIN_MS = 7 * DAY_MS
"""... and again when less than this is left."""
PLANNED_BACK_MS = 400 * DAY_MS
"""No further back: whoever comes from a clock that showed 1970 has not missed the slots of half a century."""
SPACE_EVERY_S = 5
NOT_CONNECTED = "not connected yet"
SOFTWARE = f"deconfliction-link {version('deconfliction-link')}"

_log = structlog.get_logger()


CoreT = TypeVar("CoreT", bound=Core)


class Now(Struct, frozen=True):
    """The loop's reading of the clocks for one turn: `at` and `mono` in ms, `real_s` in seconds of real time."""

    at: Millis
    mono: Millis
    real_s: int


class Pulse:
    """Lets any number of streams wait for the next change."""

    def __init__(self) -> None:
        self.coming = asyncio.Event()
        """Set at the next change. Take it before looking: so no change is lost between."""

    def beat(self) -> None:
        """Something changed."""
        self.coming.set()
        self.coming = asyncio.Event()


class LinkRunner(Generic[CoreT]):
    """One link's core and journal. Subclasses seal, publish, and tell of the state."""

    def __init__(
        self,
        core: CoreT,
        journal: JournalWriter,
        file: LinkFile,
        notifier: Notifier,
    ) -> None:
        self.core = core
        self.link = core.state.link
        self.side = core.state.side
        self.failure: Alarm | None = None
        """Why this room has stopped: for good. Only another room, from the journal opened anew, may take its place."""
        self.standing: Alarm | None = None
        """The failure of the room before, which stands until this one's start is on disk."""
        self.changed = Pulse()
        self.draw_nonce: Callable[[], str] = lambda: secrets.token_hex(8)
        """Draws the eight bytes of which the core makes the words of a line test; a simulation draws from its seed."""
        self.presence = {party: PresenceCap() for party in file.parties if party != self.side}
        self._file = file
        self._journal = journal
        self._notifier = notifier
        self.keyring = Keyring(file.keys, file.terms.policy.suite)
        """Judges frames by their signatures; a simulation puts a cheaper one here."""
        self._batch: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []
        self._closed: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []
        self._refusals = RefusalCap()
        self._repeats = RepeatCap()
        self._trouble = NOT_CONNECTED
        self._flushed_at: Millis | None = None
        self._free_bytes: int | None = None
        self._space_s = 0
        alarm = core.state.alarms.get(f"{AlarmCode.SPACE_LOW}/journal")
        self._space = SpaceWatch(low=alarm is not None and alarm.active)

    # --- taking events ------------------------------------------------------------------------------------------

    def take(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
        """Hand an event to the core; its record waits for the end of the batch. Raises LocalProtocolError."""
        # what a core emits is always one of the closed list
        effects = cast("tuple[AnyEffect, ...]", self.core.handle(event))
        self._batch.append((event, effects))
        if isinstance(event, TransportConnected):
            self._trouble = ""
        elif isinstance(event, TransportLost):
            self._trouble = event.reason
        return effects

    def gauges(self) -> Gauges:
        """Return what this process alone knows about the link."""
        return Gauges(
            link=self.link,
            side=self.side,
            failure=self.failure,
            connection_trouble=self._trouble,
            flushed_at=self._flushed_at,
            free_bytes=self._free_bytes,
        )

    def start(self, now: Now) -> None:
        """Take what opens a process's life: new terms, new keys, `Started` with the slots from the last record on.

        Raises UserError if the link file contradicts the journal (SPEC E1.1).
        """
        terms, known = self._file.terms, self.core.terms
        if known is not None and terms.epoch < known.epoch:
            raise UserError(
                f"link {self.link}: the link file says epoch {terms.epoch}, the journal is in epoch {known.epoch} "
                f"already; get the newer link file"
            )
        if known is not None and terms.epoch == known.epoch and policy_digest(terms) != policy_digest(known):
            raise UserError(
                f"link {self.link}: the link file's policy is not the one that epoch {known.epoch} was opened with; "
                f"a changed policy needs the next epoch: epoch = {known.epoch + 1} on both sides"
            )
        if self._journal.recovered_rules not in {None, self.core.RULES}:
            # the records of older rules end here, and a checkpoint of the present ones follows
            self._rotate(now)
            if self.failure is not None:
                return
        if known is None:
            self.take(EpochOpened(at=now.at, mono=now.mono, terms=terms, rules=self.core.RULES))
        elif terms.epoch > known.epoch:
            self.take(EpochOpened(at=now.at, mono=now.mono, terms=terms))
        if self.core.keys != self._file.keys:
            self.take(KeysEnrolled(at=now.at, mono=now.mono, keys=self._file.keys))
        since = min(self.core.last_at or now.at, now.at)
        until = now.at + PLANNED_MS
        planned = slots.plan(terms.policy.slots, terms.policy.zone, max(since, now.at - PLANNED_BACK_MS), until)
        failpoint("before_started")
        self.take(
            Started(
                at=now.at,
                mono=now.mono,
                software=SOFTWARE,
                slots=planned,
                slots_until=written(until),
                tzdata=slots.tzdata_version(),
            )
        )

    def stop(self, now: Now) -> None:
        """Take the clean stop."""
        for reason, count in self._refusals.flush().items():
            self.take(FramesSuppressed(at=now.at, mono=now.mono, reason=reason, count=count))
        self.take(Stopped(at=now.at, mono=now.mono))

    def request(self, request: Request) -> str:
        """Take an officer's request, once, however often it comes; return its reference. Raises LocalProtocolError."""
        known = self.core.reference_of(request.request)
        if known is None:
            self.take(cast("AnyEvent", request))
            known = self.core.reference_of(request.request)
        return known or ""

    def receive(self, topic: Topic, frame: bytes, now: Now) -> None:
        """Take a frame, judged by its signature; of too many refused or repeated ones only the number (SPEC M6.2)."""
        # SPEC F6: a byte more than the limit is enough to know that it is too large
        frame = frame[: FRAME_MAX_BYTES + 1]
        if not self._repeats.admits(frame, now.real_s):
            self._refusals.count("repeated", now.real_s)
            return
        assert topic.channel != "presence", "presence is the transport's business"
        verdict = self.keyring.judge(topic.channel, topic.sender, frame)
        if verdict != VERIFIED and not self._refusals.admits(verdict, now.real_s):
            return
        self.take(
            FrameReceived(
                at=now.at,
                mono=now.mono,
                channel=topic.channel,
                sender=topic.sender,
                frame=frame,
                verdict=verdict,
            )
        )
        failpoint("after_frame")

    def tick(self, now: Now) -> None:
        """Take what falls due by itself: a deadline, more slots, suppressed frames, presence, space."""
        at, mono = now.at, now.mono
        deadline = self.core.next_deadline()
        if deadline is not None and _reached(deadline, now):
            self.take(DeadlineReached(at=at, mono=mono, nonce=self.draw_nonce()))
            failpoint("after_deadline")
        if self.core.slots_until - at < PLAN_AGAIN_MS:
            self._plan(at, mono, at)
        for reason, count in self._refusals.due(now.real_s).items():
            self.take(FramesSuppressed(at=at, mono=mono, reason=reason, count=count))
        self._tick_presence(now)
        if now.real_s - self._space_s >= SPACE_EVERY_S:
            self._space_s = now.real_s
            self._tick_space(now)

    def plan_over(self, at: Millis, mono: Millis, until: Millis) -> None:
        """Plan the slots that the clocks have passed over between their readings `at`, `mono` and `until`.

        So what tells of the gap knows all of them (SPEC W5.2).
        """
        if until > self.core.slots_until:
            self._plan(at, mono, until)

    def _plan(self, at: Millis, mono: Millis, now: Millis) -> None:
        policy, until = self._file.terms.policy, now + PLANNED_MS
        since = max(self.core.slots_until, now - PLANNED_BACK_MS)
        planned = slots.plan(policy.slots, policy.zone, since, until)
        self.take(
            SlotsPlanned(at=at, mono=mono, slots=planned, slots_until=written(until), tzdata=slots.tzdata_version())
        )

    def _tick_presence(self, now: Now) -> None:
        for party, cap in self.presence.items():
            present = cap.due(now.real_s)
            if present is not None:
                self.take(PeerPresenceChanged(at=now.at, mono=now.mono, party=party, present=present))

    def _tick_space(self, now: Now) -> None:
        try:
            self._free_bytes = self._journal.free_bytes()
        except JournalFailure as error:
            self.fail(now, error)
            return
        event = self._space.judge(self._free_bytes, now.at, now.mono)
        if event is not None:
            self.take(event)

    # --- the end of a batch -------------------------------------------------------------------------------------

    def commit(self, now: Now) -> None:
        """Close the batch and put it on disk: one write, one flush."""
        if not self._batch:
            return
        failpoint("before_unsealed")
        closed = BatchClosed(at=now.at, mono=now.mono, frames=self._seal(now.at))
        self.take(closed)
        failpoint("before_append")
        try:
            self._journal.append(self._batch)
        except JournalFailure as error:
            self.fail(now, error)
            return
        failpoint("after_append")
        self._flushed_at = now.at
        self._batch, self._closed = [], self._batch

    def _seal(self, at: Millis) -> tuple[bytes, ...]:
        """Return the signed frames that the core asks for at the end of a batch; the watch has none."""
        del at
        return ()

    def perform(self, now: Now) -> None:
        """Do what the batch on disk asks for, in its order; then begin a new segment where one is due."""
        if not self._closed:
            return
        batch, self._closed = self._closed, []
        for event, effects in batch:
            for effect in effects:
                if isinstance(effect, Notify):
                    self._notifier.submit(self.link, self.side, effect)
                else:
                    self._perform(event, effect)
        failpoint("after_perform")
        self.changed.beat()
        if self._journal.rotate_due:
            self._rotate(now)

    def _perform(self, event: AnyEvent, effect: AnyEffect) -> None:
        """Do what one effect asks of the outside; the watch only tells."""

    def _rotate(self, now: Now) -> None:
        failpoint("before_rotate")
        try:
            self._journal.rotate(
                self.core.checkpoint(), self.core.RULES, type(self.core).__name__, now.at, now.mono, self._sign()
            )
        except JournalFailure as error:
            self.fail(now, error)
        failpoint("after_rotate")

    def close(self, now: Now) -> None:
        """Leave the journal with a signed head behind the last record."""
        try:
            self._journal.close(now.at, now.mono, self._sign())
        except JournalFailure as error:
            self.fail(now, error)
        failpoint("after_closed")

    def _sign(self) -> Sign | None:
        """Return what signs a journal head; the watch has no key to sign with."""
        return None

    # --- stopping, and coming back --------------------------------------------------------------------------------

    def fail(self, now: Now, error: LinkError) -> None:
        """Stop this room for good: after a failed flush nobody knows what is on disk until it is read again."""
        self._batch.clear()
        if self.standing is not None:
            # everybody knows
            self.failure = structs.replace(self.standing, detail=str(error))
            return
        at = written(now.at)
        code = AlarmCode.JOURNAL_FAILURE
        self.failure = Alarm(
            code=code, severity=SEVERITY[code], subject=self.link, raised_at=at, detected_at=at, detail=str(error)
        )
        _log.critical("link stopped", link=self.link, side=self.side, why=str(error))
        notice = Notify(id=f"alarm/{code}/{self.link}/{at}", kind="alarm", alarm=self.failure)
        self._notifier.submit(self.link, self.side, notice)
        self.changed.beat()

    def stay_stopped(self, error: LinkError) -> None:
        """Say why this room's journal will not be tried again."""
        assert self.failure is not None, "only a stopped room stays stopped"
        self.failure = structs.replace(self.failure, detail=str(error))
        _log.critical("link stays stopped", link=self.link, side=self.side, why=str(error))
        self.changed.beat()

    def come_back(self, now: Now) -> None:
        """Tell that the failure that stood is over: this room's start is on disk."""
        standing, self.standing = self.standing, None
        assert standing is not None, "a room takes the place of one that has failed"
        _log.warning("link back", link=self.link, side=self.side)
        over = Notify(
            id=f"alarm/{standing.code}/{self.link}/{standing.raised_at}/over",
            kind="alarm",
            alarm=structs.replace(standing, cleared_at=written(now.at)),
        )
        self._notifier.submit(self.link, self.side, over)
        self.changed.beat()


def _reached(deadline: Deadline, now: Now) -> bool:
    by_wall = deadline.at is not None and now.at >= deadline.at
    return by_wall or (deadline.mono is not None and now.mono >= deadline.mono)
