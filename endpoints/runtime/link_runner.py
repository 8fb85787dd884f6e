"""Runs one link: its core and its journal, and what the core cannot observe by itself.

The loop alone calls a runner. In one turn it takes events, closes the batch, appends it with one flush, and only then
performs the effects. An error of its journal stops this link at once, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Generic, Self, TypeAlias, TypeVar, cast

from endpoints.change_signal import ChangeSignal
from endpoints.config.link_file import LinkFile
from endpoints.failpoints import failpoint
from endpoints.journal.restored import RestoredMark
from endpoints.journal.writer import JournalFailure, JournalWriter
from endpoints.mqtt.topics import Topic
from endpoints.runtime import signs
from endpoints.runtime.due_links import NextTick
from endpoints.runtime.failure import FailureAlarm
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.head_signing import HeadSigning
from endpoints.runtime.observing import SendsNothing
from endpoints.runtime.ports import (
    FrameJudge,
    JudgeOfKeys,
    NonceSource,
    NotificationOutlet,
    Now,
    Outbound,
    RunnableCore,
    judge_of_keys,
    random_nonce,
)
from endpoints.runtime.rate_limits import FrameLimits, PresenceCap
from endpoints.runtime.refusals import Refusals
from endpoints.runtime.slot_planner import SlotPlanner
from endpoints.runtime.start_checks import check_terms
from endpoints.runtime.start_record import begin, check_keys
from endpoints.runtime.timed_events import TimedEvents
from protocol.core.alarms import Alarm
from protocol.core.effects import AnyEffect, Notify
from protocol.core.events import (
    AnyEvent,
    BatchClosed,
    FrameReceived,
    Request,
    Started,
    Stopped,
    TransportConnected,
    TransportLost,
)
from protocol.errors import LinkError
from protocol.phrases import phrase
from protocol.wire.instants import Millis
from protocol.wire.messages import FRAME_MAX_BYTES, Digest, Identifier
from protocol.wire.policy import EnrolledKey
from protocol.wire.refusals import VERIFIED

NOT_CONNECTED = phrase("not connected yet")
SOFTWARE = f"deconfliction-link {version('deconfliction-link')}"

CoreT_co = TypeVar("CoreT_co", bound=RunnableCore, covariant=True)


class LinkRunner(Generic[CoreT_co]):
    """One link's core and journal in this process."""

    def __init__(
        self,
        core: CoreT_co,
        journal: JournalWriter,
        file: LinkFile,
        notifications: NotificationOutlet,
        *,
        outbound: Outbound | None = None,
        officers: Mapping[Identifier, Digest] | None = None,
        judges: JudgeOfKeys = judge_of_keys,
        draw_nonce: NonceSource = random_nonce,
        limits: FrameLimits | None = None,
        restored: RestoredMark | None = None,
    ) -> None:
        """Make a runner, which has not started yet.

        Args:
            core: the link's core, after all that the journal holds.
            journal: the journal, opened.
            file: the link file.
            notifications: delivers what the core asks to notify.
            outbound: signs and publishes; by default the link only observes, without a key.
            officers: the officers of the settings, each with the digest of their entry; None if there can be none.
            judges: makes what verifies frames with the accepted keys.
            draw_nonce: draws the words of line tests; by default from the operating system.
            limits: bounds what the journal takes of frames.
            restored: the mark of the journal's folder, removed once the journal says that it was restored.

        Raises EnrolmentError as `check_keys` does.
        """
        check_keys(core, file)
        self.core = core
        self.link = journal.link
        self.side = journal.side
        self.changed = ChangeSignal()
        self.failure_alarm = FailureAlarm(self.link, self.side, notifications, self.changed)
        self.presence = {party: PresenceCap() for party in file.parties if party != self.side}
        self._file = file
        self._journal = journal
        self._notifications = notifications
        self._outbound = outbound or SendsNothing()
        self.heads = HeadSigning(journal, self._outbound)
        self._officers = officers
        self._judges = judges
        self._judge: FrameJudge | None = None
        self._judged_by: Mapping[Identifier, Sequence[EnrolledKey]] = {}
        self._draw_nonce = draw_nonce
        self._planner = SlotPlanner(file.terms.policy)
        self._batch: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []
        self._closed: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []
        self._refusals = Refusals(limits)
        self._restored = restored or RestoredMark()
        self._trouble: str = NOT_CONNECTED
        self._accepted = False
        self._flushed_at: Millis | None = None
        self._timed = TimedEvents(core, journal, self._planner, self._refusals, self.presence, draw_nonce)

    @property
    def failure(self) -> Alarm | None:
        """Why this runner has stopped, None while it runs.

        It never runs again: another runner, on the journal opened anew, takes its place.
        """
        return self.failure_alarm.standing

    @property
    def journaled(self) -> int:
        """The number of the last record on disk."""
        return self._journal.n

    def gauges(self) -> Gauges:
        """Return what this process alone knows about the link."""
        return Gauges(
            link=self.link,
            side=self.side,
            failure=self.failure,
            flushed_at=self._flushed_at,
            free_bytes=self._timed.free_bytes,
            connection_trouble=self._trouble,
            accepted=self._accepted,
            silent=frozenset(party for party, cap in self.presence.items() if cap.silent),
            heard_s={party: cap.heard_s for party, cap in self.presence.items() if cap.heard_s is not None},
        )

    # --- taking events ------------------------------------------------------------------------------------------

    def take(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
        """Hand an event to the core; its record waits for the end of the batch. Raises LocalProtocolError."""
        # every effect of a core is one of the closed list
        effects = cast("tuple[AnyEffect, ...]", self.core.handle(event))
        self._batch.append((event, effects))
        if isinstance(event, TransportConnected):
            self._trouble, self._accepted = "", True
        elif isinstance(event, TransportLost):
            self._trouble = self._trouble or event.reason
            for cap in self.presence.values():
                cap.forget()
        return effects

    def connection_lost(self, reason: str) -> None:
        """Note why there is no connection at this moment, whether or not it is journaled."""
        self._trouble = reason
        self.changed.send()

    def check_link_file(self) -> None:
        """Raise UserError if the link file contradicts the journal (SPEC E1.1)."""
        check_terms(self._file.terms, self.core.terms)

    def start(self, now: Now) -> None:
        """Take the events that begin a run: new terms, new keys, and `Started` with the slots since the last record.

        Raises UserError as `check_link_file` does, before anything is written.
        """
        self.check_link_file()
        if self._journal.recovered_rules not in {None, self.core.RULES}:
            # the records of older rules end here, and a checkpoint of the present ones follows
            self._rotate(
                now, signed=not self.core.keys.differ(self._file.keys, self._file.digest, self._file.watch_keys)
            )
            if self.failure is not None:
                return
        self.heads.begin()
        for event in begin(self.core, self._file, self._officers, self._draw_nonce, now, self._restored):
            self.take(event)
        for event in self.chosen(now):
            self.take(event)
        since = min(self.core.last_at or now.at, now.at)
        plan = self._planner.plan(since, now.at)
        failpoint("before_started")
        self.take(
            Started(
                at=now.at,
                mono=now.mono,
                software=SOFTWARE,
                slots=plan.slots,
                slots_until=plan.until,
                tzdata=plan.tzdata,
            )
        )

    def differs(self, other: Self, now: Now) -> bool:
        """Return whether `other`, made from newer files on the same core, would run in another way than this one."""
        return (self._file, self._officers, self._outbound.keys) != (
            other._file,
            other._officers,
            other._outbound.keys,
        ) or bool(other.chosen(now))

    def follow(self, before: Self, now: Now) -> None:
        """Go on over the connection of the runner `before`, which has stopped in order; behind `start`."""
        self._trouble, self._accepted = before._trouble, before._accepted
        for party, cap in self.presence.items():
            cap.inherit(before.presence[party])
        if before.core.snapshot().connected:
            self.take(TransportConnected(at=now.at, mono=now.mono))

    def chosen(self, now: Now) -> tuple[AnyEvent, ...]:
        """Return the events by which the settings differ from what the journal knows: of an observing link, none."""
        del now
        return ()

    def stop(self, now: Now) -> None:
        """End the run in order, up to the effects of its last batch; `close` follows."""
        failpoint("before_stopped")
        for event in self._refusals.flush(now):
            self.take(event)
        self.take(Stopped(at=now.at, mono=now.mono))
        self.commit(now)
        self.perform(now)
        failpoint("after_stopped")

    def request(self, request: Request) -> str:
        """Take an officer's request and return its reference. A repeated request changes nothing.

        Raises LocalProtocolError.
        """
        known = self.core.reference_of(request.request)
        if known is None:
            self.take(cast("AnyEvent", request))
            known = self.core.reference_of(request.request)
        return known or ""

    def credential_refused(self, source: str, now: Now) -> None:
        """Take a wrong credential from `source`; those above the rate limit are only counted."""
        event = self._refusals.credential(source, now)
        if event is not None:
            self.take(event)

    def receive(self, topic: Topic, frame: bytes, now: Now) -> None:
        """Verify a frame and take it. Frames above the rate limits are only counted (SPEC M6.2)."""
        # SPEC F6: one byte above the limit suffices to refuse it
        frame = frame[: FRAME_MAX_BYTES + 1]
        assert topic.channel != "presence", "the transport handles presence"
        verdict = self._verdict(topic, frame)
        event = FrameReceived(
            at=now.at, mono=now.mono, channel=topic.channel, sender=topic.sender, frame=frame, verdict=verdict
        )
        reason = verdict if verdict != VERIFIED else self.core.redundant(event)
        signs.take_word(self.presence.get(topic.sender), reason, now.real_s)
        if self._refusals.frames.admits(event, reason, now.real_s):
            self.take(event)
            failpoint("after_frame")

    def sign_of_life(self, topic: Topic, frame: bytes, real_s: float) -> bool:
        """Take a receipt that came at QoS 0, outside the journal (SPEC Q2.5). Return whether it needs a turn."""
        return signs.take(self.presence.get(topic.sender), self.core, topic, frame, real_s, self._verdict)

    def _verdict(self, topic: Topic, frame: bytes) -> str:
        """Return the verdict on a frame under the keys that are accepted now, which may just have changed."""
        keys = self.core.keys.accepted
        if self._judge is None or keys != self._judged_by:
            self._judge, self._judged_by = self._judges(keys, self._file.terms.policy.suite), keys
        return self._judge.judge(topic.channel, topic.sender, frame)

    def tick(self, now: Now) -> None:
        """Take the events that time alone causes."""
        try:
            for event in self._timed.due(now):
                self.take(event)
        except JournalFailure as error:
            self.fail(now, error)

    @property
    def next_tick(self) -> NextTick:
        """When the link needs a turn of the loop although nothing happens to it; as of the end of its last turn."""
        return self.heads.sooner(self._timed.next())

    def plan_over(self, at: Millis, mono: Millis, until: Millis) -> None:
        """Plan the slots that the clocks have skipped between their reading `at`, `mono` and `until`.

        The event that then reports the gap covers all of them (SPEC W5.2).
        """
        if until > self.core.slots_until:
            self.take(self._timed.more_slots(at, mono, until))

    # --- the end of a batch -------------------------------------------------------------------------------------

    def commit(self, now: Now) -> None:
        """Close the batch and append it to the journal: one write, one flush."""
        if self.close_batch(now):
            self.flush()
            self.settle(now)

    def close_batch(self, now: Now) -> bool:
        """Close the batch. Return whether there is one, for `flush` and then `settle`: the three steps of `commit`."""
        if not self._batch:
            return False
        failpoint("before_unsealed")
        closed = BatchClosed(at=now.at, mono=now.mono, frames=self._outbound.seal(now.at))
        self.take(closed)
        failpoint("before_append")
        try:
            self._journal.prepare(self._batch)
        except JournalFailure as error:
            self.fail(now, error)
            return False
        return True

    def flush(self) -> None:
        """Write the closed batch to the journal and flush it, in any thread: the loop waits meanwhile."""
        self._journal.flush()

    def settle(self, now: Now) -> None:
        """Go on behind the batch that was flushed; a batch that could not be written stops the link."""
        try:
            self._journal.settle()
        except JournalFailure as error:
            self.fail(now, error)
            return
        failpoint("after_append")
        self._flushed_at = now.at
        self._restored.settle()
        self._batch, self._closed = [], self._batch

    def perform(self, now: Now) -> None:
        """Carry out the effects of the batch on disk, in order; then sign the head or begin a new segment, if due."""
        if self._closed:
            self._perform(now)
        if self.failure is None:
            try:
                self.heads.tick(now)
            except JournalFailure as error:
                self.fail(now, error)

    def _perform(self, now: Now) -> None:
        batch, self._closed = self._closed, []
        for event, effects in batch:
            for effect in effects:
                if isinstance(effect, Notify):
                    self._notifications.submit(self.link, self.side, effect)
                else:
                    self._outbound.perform(event, effect)
        failpoint("after_perform")
        self.changed.send()
        if self._journal.rotate_due:
            self._rotate(now)

    def shorten(self, now: Now) -> None:
        """Begin a new segment, between two batches, if the journal could not be opened again at once."""
        if self._journal.long:
            self._rotate(now)

    def _rotate(self, now: Now, *, signed: bool = True) -> None:
        sign = self._outbound.sign if signed else None
        failpoint("before_rotate")
        try:
            state, core = self.core.checkpoint(), type(self.core).__name__
            self._journal.rotate(state, self.core.RULES, core, now.at, now.mono, sign)
        except JournalFailure as error:
            self.fail(now, error)
        failpoint("after_rotate")

    def close(self, now: Now) -> None:
        """Close the journal, with a signed head behind the last record."""
        try:
            self._journal.close(now.at, now.mono, self._outbound.sign)
        except JournalFailure as error:
            self.fail(now, error)
        failpoint("after_closed")

    # --- failure ------------------------------------------------------------------------------------------------

    def fail(self, now: Now, error: LinkError) -> None:
        """Stop this link: after a failed flush, only the disk itself shows what it holds."""
        self._batch.clear()
        self.failure_alarm.raise_for(error, now.at)
        self._outbound.leave()


AnyRunner: TypeAlias = LinkRunner[RunnableCore]
"""A running link of an endpoint or of the watch."""
