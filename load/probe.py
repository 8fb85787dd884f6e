"""Times what passes the ports of a measured endpoint: signing, flushing, publishing, arriving, verifying.

A row covers the messages of one frame or one batch, so its cost does not grow with their number. What lies between two
ports counts to the stage before the later one; see `load.stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from endpoints.journal.store import LastSegment, SegmentStore
from endpoints.journal.writer import Batch, OnDisk
from endpoints.mqtt.events import Accepted, Arrived, TransportEvent
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import Token
from endpoints.runtime.instruments import Beside, Happened, Instruments
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import FrameJudge, FrameOutlet, FrameSigner, JudgeOfKeys, judge_of_keys
from endpoints.runtime.work_queue import WorkQueue
from load.channel import Applied, BrokerTook, Receipted, Row, Sealed
from load.driver import ClockNs
from protocol.core.effects import Apply, Seal, Settle
from protocol.core.events import BatchClosed, FrameReceived
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey

FRAMES_MAX = 8_192
"""Arrived frames whose record is awaited: more than an endpoint may leave unacknowledged. Refused ones stay here."""

Works = Callable[[Mapping[str, AnyRunner], WorkQueue], Sequence[Beside]]
"""Returns what runs beside the loop of the measured endpoint."""


class LinkTimes:
    """What was timed last at one link, until its batch is on disk."""

    def __init__(self) -> None:
        self.sign_begins_ns = 0
        self.sign_ends_ns = 0
        self.flush_begins_ns = 0
        self.flush_ends_ns = 0
        self.arrived_ns: dict[bytes, int] = {}
        self.verified_ns: dict[bytes, tuple[int, int]] = {}

    def frame(self, frame: bytes) -> tuple[int, int, int]:
        """Return when a frame arrived, and when its verification began and ended; then forget it."""
        begins_ns, ends_ns = self.verified_ns.pop(frame, (0, 0))
        return self.arrived_ns.pop(frame, begins_ns), begins_ns, ends_ns

    def forget_refused(self) -> None:
        """Forget frames that no record followed."""
        if len(self.verified_ns) > FRAMES_MAX or len(self.arrived_ns) > FRAMES_MAX:
            self.verified_ns.clear()
            self.arrived_ns.clear()


class Probe(Instruments):
    """The instruments of one measured endpoint. `rows` grows until it is taken."""

    def __init__(self, clock_ns: ClockNs, receipted: Callable[[Receipted], None], works: Works) -> None:
        """Prepare it.

        Args:
            clock_ns: the clock that all processes share.
            receipted: called as soon as a receipt of the other side is on disk.
            works: what runs beside the loop.
        """
        self.rows: list[Row] = []
        self._clock_ns = clock_ns
        self._receipted = receipted
        self._works = works
        self._links: dict[str, LinkTimes] = {}

    def take_rows(self) -> list[Row]:
        """Return the rows noted so far, and begin anew."""
        rows, self.rows = self.rows, []
        return rows

    def store(self, link: Identifier, store: SegmentStore) -> SegmentStore:
        """Return the store with timed flushes."""
        return TimedStore(store, self._of(link), self._clock_ns)

    def on_disk(self, link: Identifier) -> OnDisk:
        """Return what makes rows of a batch."""
        times = self._of(link)

        def note(batch: Batch) -> None:
            self._note(link, times, batch)

        return note

    def signer(self, link: Identifier, signer: FrameSigner) -> FrameSigner:
        """Return the signer with timed signatures."""
        return TimedSigner(signer, self._of(link), self._clock_ns)

    def judges(self, link: Identifier) -> JudgeOfKeys:
        """Return what makes judges with timed verdicts."""

        def timed(keys: Mapping[Identifier, tuple[EnrolledKey, ...]], suite: str) -> FrameJudge:
            return TimedJudge(judge_of_keys(keys, suite), self._of(link), self._clock_ns)

        return timed

    def outlet(self, outlet: FrameOutlet) -> FrameOutlet:
        """Return the outlet with timed publishes."""
        self._outlet = TimedOutlet(outlet, self._clock_ns)
        return self._outlet

    def happened(self, happened: Happened) -> Happened:
        """Return what notes when frames arrive and the broker answers."""

        def noted(event: TransportEvent) -> None:
            if isinstance(event, Arrived):
                times = self._of(event.topic.link)
                times.forget_refused()
                times.arrived_ns[event.payload] = self._clock_ns()
            elif isinstance(event, Accepted) and isinstance(event.token, Token) and event.token.first:
                self._accepted(event.token)
            happened(event)

        return noted

    def beside(self, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> Sequence[Beside]:
        """Return what runs beside the loop."""
        return self._works(runners, queue)

    def _of(self, link: str) -> LinkTimes:
        return self._links.setdefault(link, LinkTimes())

    def _accepted(self, token: Token) -> None:
        published_ns = self._outlet.published_ns.pop(token, 0)
        if published_ns:
            self.rows.append(BrokerTook(token.link, token.first, token.last, published_ns, self._clock_ns()))

    def _note(self, link: str, times: LinkTimes, batch: Batch) -> None:
        for entry, effects in batch:
            if isinstance(entry, FrameReceived):
                self._note_frame(link, times, entry.frame, effects)
            elif isinstance(entry, BatchClosed):
                for effect in effects:
                    if isinstance(effect, Seal) and effect.first and effect.last:
                        self.rows.append(
                            Sealed(
                                link,
                                effect.first,
                                effect.last,
                                times.sign_begins_ns,
                                times.sign_ends_ns,
                                times.flush_begins_ns,
                                times.flush_ends_ns,
                            )
                        )
        # the next batch may sign nothing
        times.sign_begins_ns = 0

    def _note_frame(self, link: str, times: LinkTimes, frame: bytes, effects: Sequence[object]) -> None:
        arrived_ns, begins_ns, ends_ns = times.frame(frame)
        applied = [effect.message.seq for effect in effects if isinstance(effect, Apply)]
        if applied:
            self.rows.append(
                Applied(
                    link,
                    applied[0],
                    applied[-1],
                    arrived_ns,
                    begins_ns,
                    ends_ns,
                    times.sign_begins_ns or times.flush_begins_ns,
                    times.flush_ends_ns,
                )
            )
        for effect in effects:
            if isinstance(effect, Settle):
                row = Receipted(link, effect.upto, arrived_ns, ends_ns, times.flush_ends_ns)
                self.rows.append(row)
                self._receipted(row)


class TimedStore:
    """A store that notes when a flush begins and ends."""

    def __init__(self, store: SegmentStore, times: LinkTimes, clock_ns: ClockNs) -> None:
        self._store = store
        self._times = times
        self._clock_ns = clock_ns

    @property
    def name(self) -> str:
        """Where the journal lies."""
        return self._store.name

    def open(self, *, create: bool) -> LastSegment | None:
        """Open the store."""
        return self._store.open(create=create)

    def resume(self, end: int, last_batch: bytes) -> None:
        """Continue the last segment."""
        self._store.resume(end, last_batch)

    def append(self, data: bytes) -> None:
        """Write and flush."""
        self._times.flush_begins_ns = self._clock_ns()
        self._store.append(data)
        self._times.flush_ends_ns = self._clock_ns()

    def start_segment(self, first: int, data: bytes) -> None:
        """Begin a segment; it takes the batch of record 1, or a checkpoint."""
        self._times.flush_begins_ns = self._clock_ns()
        self._store.start_segment(first, data)
        self._times.flush_ends_ns = self._clock_ns()

    def free_bytes(self) -> int:
        """Return the free space."""
        return self._store.free_bytes()

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class TimedSigner:
    """A signer that notes when the signatures of a batch begin and end."""

    def __init__(self, signer: FrameSigner, times: LinkTimes, clock_ns: ClockNs) -> None:
        self._signer = signer
        self._times = times
        self._clock_ns = clock_ns

    @property
    def enrolled(self) -> tuple[EnrolledKey, ...]:
        """The public keys of the signer's."""
        return self._signer.enrolled

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        """Sign a payload."""
        begins_ns = self._clock_ns()
        sealed = self._signer.seal(payload_type, payload, accepted)
        self._times.sign_begins_ns = self._times.sign_begins_ns or begins_ns
        self._times.sign_ends_ns = self._clock_ns()
        return sealed


class TimedJudge:
    """A judge that notes when each verification begins and ends."""

    def __init__(self, judge: FrameJudge, times: LinkTimes, clock_ns: ClockNs) -> None:
        self._judge = judge
        self._times = times
        self._clock_ns = clock_ns

    def judge(self, channel: str, sender: str, frame: bytes) -> str:
        """Return the verdict on a frame."""
        begins_ns = self._clock_ns()
        verdict = self._judge.judge(channel, sender, frame)
        self._times.verified_ns[frame] = (begins_ns, self._clock_ns())
        return verdict


class TimedOutlet:
    """An outlet that notes when each frame of messages is published."""

    def __init__(self, outlet: FrameOutlet, clock_ns: ClockNs) -> None:
        self.published_ns: dict[Token, int] = {}
        self._outlet = outlet
        self._clock_ns = clock_ns

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame."""
        if isinstance(token, Token) and token.first:
            if len(self.published_ns) > FRAMES_MAX:
                # of connections that ended before the broker answered
                self.published_ns.clear()
            self.published_ns[token] = self._clock_ns()
        return self._outlet.publish(topic, payload, token)

    def leave(self, link: str) -> None:
        """Send nothing more for a link."""
        self._outlet.leave(link)
