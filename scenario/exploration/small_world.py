"""Describes a small world: the link files, what officers do, which faults may happen, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.keys.signer import Signer
from protocol.core.events import Request
from protocol.core.snapshot import Snapshot
from protocol.wire.envelope import Channel
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Message

WATCH = "watch"
BEGINS: Millis = parsed("2022-11-29T07:50:00.000Z")
"""When every small world begins: ten minutes before a slot."""
NONCE = "00112233aabbccdd"
"""Stands for every drawn number: the words of all line tests are the same."""


class Occasion(Struct, frozen=True):
    """When a request is made: the clocks of the machine, and the id of the request."""

    at: Millis
    mono: Millis
    request: str


MakeRequest = Callable[[Snapshot, Occasion], Request | None]
"""Returns an officer's request as they make it on what they see; None if they have no reason for it."""


class PlannedRequest(Struct, frozen=True):
    """A request that an officer of `side` makes at any time, once. Its name is the id of the request."""

    name: str
    side: str
    make: MakeRequest


class ForeignFrame(Struct, frozen=True):
    """A frame that no core of this world has made: somebody puts it on the wire at any time."""

    name: str
    # the party whom the topic names
    sender: str
    channel: Channel
    frame: bytes
    # by the processes that hear the topic
    recipients: tuple[str, ...]
    # why it must be refused, empty if it must not
    refused: str = ""
    # whether its sender has signed it
    signed: bool = True
    # the alarm that it must raise at each recipient, once its sender has `beside` messages of its own
    raises: str = ""
    beside: int = 0
    # why its first message must be refused, if the frame is not
    message_refused: str = ""


class Bounds(Struct, frozen=True, kw_only=True):
    """How often each fault may happen in a world. Every search is complete within these."""

    # frames that are lost, and frames that are delivered again
    losses: int = 0
    duplicates: int = 0
    # of each process: how often it ends, before or after its batch is on disk
    crashes: Mapping[str, int] = {}
    # how often any connection is lost; the core learns of it
    cuts: int = 0
    # how often a deadline is awaited; what is due already needs none
    deadlines: int = 0
    # how long nothing but deadlines happens: each entry once, in any order
    pauses: tuple[Millis, ...] = ()
    # steps of a wall clock: each entry once, at any process
    clock_steps: tuple[Millis, ...] = ()
    # changes of a party's presence at its peer
    presence: int = 0
    # how many journals are put back to an older state, and how many batches such a copy may lack
    restorations: int = 0
    lacking: tuple[int, ...] = (1, 2)
    # how many of the foreign frames are put on the wire
    foreign: int = 1
    # whether officers accept changed keys, at any time
    accepts: bool = False
    # copies of one frame to one recipient on the wire at a time
    copies: int = 1
    # events of a batch: with 1, each event is sealed at once
    batch: int = 1


class Symmetry(Struct, frozen=True):
    """Names that may be exchanged: the world behaves alike, except that others do the same."""

    names: Mapping[str, str]


class SmallWorld(Struct, frozen=True, kw_only=True):
    """One world to search.

    Attributes:
        name: the name on the command line.
        about: one line for people.
        files: the link files, in the order in which each process adopts them.
        scripts: what officers do. Requests of one script follow each other; those of different ones come in any order.
        bounds: the limits of the search.
        slots: the instants of scheduled line tests.
        watched: whether the independent watch is there.
        foreign: frames that somebody else puts on the wire.
        versions: messages that a party has signed and its journal does not hold, by sender, epoch and seq.
        explained: codes of alarms that this world may raise, beside those of its faults.
        symmetries: names that may be exchanged.
        signers: sign in the place of simulated signatures, which have one key for each party. Keys may change then.
        prepared: requests that are made before the search begins, each at once and while the peer hears nothing.
    """

    name: str
    about: str
    files: tuple[LinkFile, ...]
    scripts: tuple[tuple[PlannedRequest, ...], ...] = ()
    bounds: Bounds = Bounds()
    slots: tuple[Millis, ...] = ()
    watched: bool = False
    foreign: tuple[ForeignFrame, ...] = ()
    versions: Mapping[tuple[str, int, int], tuple[Message, ...]] = {}
    explained: frozenset[str] = frozenset()
    symmetries: tuple[Symmetry, ...] = ()
    signers: Mapping[str, Signer] = {}
    prepared: tuple[PlannedRequest, ...] = ()

    @property
    def parties(self) -> tuple[str, str]:
        """The calling and the answering side."""
        return self.files[0].terms.caller, self.files[0].terms.answering

    @property
    def keys_change(self) -> bool:
        """Whether a link file changes the keys under one epoch."""
        return any(one.terms == other.terms for one, other in pairwise(self.files))

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of all processes."""
        return (*self.parties, WATCH) if self.watched else self.parties
