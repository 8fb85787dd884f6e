"""The core's contract: any event in any state, nothing but a caller's mistake raised, and then nothing changed.

Each event also runs through a restored copy, and a refused one must leave the state byte for byte: see
`tests.support.world.End`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import to_builtins

from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    AnyEvent,
    BatchClosed,
    CertificateSeen,
    ClockStepped,
    CredentialsRefused,
    DeadlineReached,
    FrameReceived,
    FramesSuppressed,
    IdentityTakenOver,
    LineTestRequested,
    ListenersBack,
    ListenersMissing,
    NotificationDone,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    PeerPresenceChanged,
    PublishRefused,
    Resumed,
    SessionBegan,
    SessionEnded,
    SinkFailed,
    SinkReached,
    SlotsPlanned,
    SpaceLow,
    SpaceOk,
    Started,
    Stopped,
    TransportConnected,
    TransportLost,
    WatchLeft,
    WatchTaken,
)
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import (
    EpochOpened,
    JournalRestored,
    KeysChanged,
    KeysEnrolled,
    LinkConfirmed,
    OfficersEnrolled,
    WordsChosen,
)
from protocol.errors import LocalProtocolError
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.envelope import Channel
from protocol.wire.instants import written
from protocol.wire.messages import AnyBody, MessagePayload, ReceiptPayload, Reference
from protocol.wire.refusals import ALTERED, OUTDATED, OVERLOAD, REPEATED, STALE_RECEIPT, FrameRefusal
from protocol.wire.words import WORDS, fingerprint_words
from tests.support.arbitrary import events, values
from tests.support.cast import Peer, a_heartbeat, a_refusal, an_acknowledgement, an_alert, an_answer, sealed
from tests.support.world import DAY, HOUR, MINUTE, SECOND, START, TERMS, End, Frame, slots_between, terms
from tests.vectors.terms import party_keys

OFFICERS = st.sampled_from(["watch-1", "watch-2"])
PARTIES = st.sampled_from(["eucom", "ndmc"])
REFERENCES = st.builds(Reference, PARTIES, st.sampled_from([1, 1, 1, 2]), st.integers(1, 4))
TEXTS = st.sampled_from([{"en": "x"}, {"ru": "ж", "en": "y"}, {"fr": "z"}])
REQUESTS = st.sampled_from([f"request-{number}" for number in range(12)])
NONCES = st.sampled_from(["00112233aabbccdd", "ffeeddccbbaa9988", "not a nonce"])
INSTANTS = st.integers(START - DAY, START + 2 * DAY).map(written)
SEEN = st.sampled_from(["0" * 64, "f" * 64])
KEYS = party_keys("ed25519")
OTHER = msgspec.structs.replace(KEYS["eucom"][0], id="other", public="A" * 43 + "=")
# the present keys, one more of either side, another instead, none
ENROLLED = st.sampled_from(
    [KEYS, *({**KEYS, side: keys} for side in KEYS for keys in ((*KEYS[side], OTHER), (OTHER,), ()))]
)
WATCH_KEYS = st.sampled_from([(), (OTHER,)])
DIGESTS = ["0123456789abcdef" * 4, "f" * 64]
ROSTERS = [
    dict.fromkeys(officers, "0" * 64)
    for officers in (["watch-1", "watch-2"], ["watch-1", "watch-2", "watch-3"], ["watch-1"], [])
]
# words 1 to 3 of either digest, which the first nonce asks for, and others
TYPED = st.sampled_from(
    [("a", "b", "c"), *(fingerprint_words(digest, lang)[:3] for digest in DIGESTS for lang in WORDS)]
)

ALARMS: list[st.SearchStrategy[Event]] = [
    events(AlarmAcknowledged, request=REQUESTS, officer=OFFICERS, code=st.just(code), subject=st.sampled_from(subjects))
    for code, subjects in {
        "space_low": ["journal"],
        "broker_unreachable": ["broker", "publish/message"],
        "undelivered": ["epoch 1"],
        "certificate_expiring": ["own/30d", "own/7d", "broker/30d"],
        "sink_failing": ["webhook", "dead_man"],
        "credentials_refused": ["uid-0", "uid-7/session-1"],
        "nobody_listening": ["console"],
    }.items()
]
ALARMS.append(
    events(
        AlarmAcknowledged,
        request=REQUESTS,
        officer=OFFICERS,
        code=st.just("keys_changed"),
        subject=st.sampled_from([digest[:16] for digest in DIGESTS]),
        words=TYPED,
    )
)
REQUESTED: list[st.SearchStrategy[Event]] = [
    events(
        OfficerRaisedAlert,
        request=REQUESTS,
        officer=OFFICERS,
        status=st.just("exercise"),
        category=st.just("critical_infrastructure"),
        text=TEXTS,
        cancellation=TEXTS,
        event_at=INSTANTS,
        expires_at=INSTANTS,
        references=st.lists(REFERENCES, max_size=2).map(tuple),
        changes=REFERENCES,
        change_kind=st.sampled_from(["update", "correction"]),
    ),
    events(OfficerReleased, request=REQUESTS, officer=OFFICERS, draft=st.integers(1, 2), seen=SEEN),
    events(
        OfficerAnswered,
        request=REQUESTS,
        officer=OFFICERS,
        of=REFERENCES,
        read_back=st.just(("a", "b", "c")),
        seen=SEEN,
    ),
    events(OfficerAcknowledged, request=REQUESTS, officer=OFFICERS, of=REFERENCES, text=TEXTS, seen=SEEN),
    events(OfficerRefused, request=REQUESTS, officer=OFFICERS, of=REFERENCES, text=TEXTS, seen=SEEN),
    events(OfficerCancelled, request=REQUESTS, officer=OFFICERS, of=REFERENCES, draft=st.integers(1, 2), seen=SEEN),
    events(LineTestRequested, request=REQUESTS, nonce=NONCES, officer=OFFICERS),
    events(WatchTaken, request=REQUESTS, officer=OFFICERS, relieves=OFFICERS),
    events(WatchLeft, request=REQUESTS, officer=OFFICERS),
    events(SessionBegan, request=REQUESTS, officer=OFFICERS),
    events(SessionEnded, request=REQUESTS, officer=OFFICERS),
    *ALARMS,
]
PLAIN: list[type[Event]] = [
    *(SpaceLow, SpaceOk, Stopped, TransportConnected, TransportLost),
    *(IdentityTakenOver, PublishRefused, ListenersMissing, ListenersBack),
]
REASONS = st.sampled_from([*FrameRefusal, REPEATED, OUTDATED, STALE_RECEIPT, ALTERED, OVERLOAD])
HAPPENING: list[st.SearchStrategy[Event]] = [
    events(DeadlineReached, nonce=NONCES),
    events(ClockStepped, step_ms=st.sampled_from([-HOUR, -SECOND, SECOND, HOUR])),
    events(Resumed, since=INSTANTS),
    events(Started, slots=st.just(slots_between(START - DAY, START + DAY)), slots_until=INSTANTS),
    events(SlotsPlanned, slots=st.just(slots_between(START, START + 2 * DAY)), slots_until=INSTANTS),
    events(NotificationDone, id=st.just("message/ndmc/1/1")),
    events(PeerPresenceChanged, party=PARTIES),
    events(FramesSuppressed, reason=REASONS),
    events(KeysEnrolled, keys=ENROLLED, watch=WATCH_KEYS),
    events(
        KeysChanged,
        keys=ENROLLED,
        digest=st.sampled_from(DIGESTS),
        nonce=st.sampled_from(["0" * 16, "f" * 16]),
        watch=WATCH_KEYS,
    ),
    events(OfficersEnrolled, officers=st.sampled_from(ROSTERS)),
    events(WordsChosen, test_text=st.sampled_from(["Говорит Висбаден.", "Cafe\u0301"])),
    events(
        LinkConfirmed,
        officer=st.sampled_from(["duty-1", "nobody"]),
        digest=st.sampled_from(DIGESTS),
        compared_at=st.sampled_from([written(START), "9999"]),
        first_word=st.just(7),
    ),
    events(
        JournalRestored,
        restored_at=st.sampled_from([written(START), "9999"]),
        records=st.just(3),
        head=st.sampled_from(DIGESTS),
    ),
    events(CertificateSeen, ends_at=st.sampled_from([*(written(START + days * DAY) for days in (3, 20, 99)), "9999"])),
    events(SinkFailed, sink=st.sampled_from(["webhook", "dead_man"])),
    events(SinkReached, sink=st.sampled_from(["webhook", "dead_man"])),
    events(CredentialsRefused, count=st.integers(1, 20), source=st.sampled_from(["uid-0", "uid-7/session-1"])),
    events(BatchClosed, frames=st.lists(st.binary(max_size=4), max_size=1).map(tuple)),
    *(events(kind) for kind in PLAIN),
]
WRITTEN_REFERENCES = REFERENCES.map(to_builtins)
SLOTS = st.sampled_from(["", *slots_between(START - DAY, START + DAY)])
CHANGES: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, of=WRITTEN_REFERENCES, kind=st.sampled_from(["update", "cancellation"])
)
FIELDS = st.sampled_from(["type", "of", "text", "slot"])
BODIES = st.one_of(
    values(AnyBody).map(to_builtins),
    st.dictionaries(FIELDS, st.one_of(st.text(max_size=4), st.integers(0, 9))),
    st.builds(an_alert),
    st.builds(an_alert, st.sampled_from(["flash", "routine"]), change=CHANGES),
    st.builds(a_heartbeat, SLOTS),
    *(st.builds(kind, WRITTEN_REFERENCES) for kind in (an_answer, an_acknowledgement, a_refusal)),
)
CORES: list[Callable[[], Link | Observer]] = [
    lambda: Link.new("eucom-ndmc", "eucom"),
    lambda: Link.new("eucom-ndmc", "ndmc"),
    lambda: Observer.new("eucom-ndmc"),
]
FALSE_MESSAGES: list[dict[str, Any]] = [{}, {"prev": "0" * 64}, {"seq": 2}, {"seq": 2**53 - 1}]
FALSE_ADDRESSES: list[dict[str, Any]] = [{}, {"epoch": 2}, {"floor": 1}, {"link": "x"}]
ORDERS = st.sampled_from(["x", "x", "x", "x", "xx", "-"])
ADDRESS = {"link", "epoch", "sender", "recipient", "policy"}
VERDICTS = st.sampled_from([*["verified"] * 9, *map(str, FrameRefusal)])


def admitted(value: Any) -> bool:
    """Whether canonical JSON can write it: text of the peer has passed that check already."""
    try:
        canonical.encode(value)
    except CanonicalError:
        return False
    return True


class AnyEventInAnyState(RuleBasedStateMachine):
    """One core, and a peer who says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.end = End(Observer.new("eucom-ndmc"))

    @initialize(core=st.sampled_from(CORES))
    def begin(self, core: Callable[[], Link | Observer]) -> None:
        self.end = End(core())
        self.end.start(opened=TERMS)
        self.follow()

    def follow(self) -> None:
        """Let the peer begin its stream anew, under the terms that are open now."""
        opened = self.end.core.terms
        assert opened is not None
        self.peer = Peer("ndmc" if self.end.name == "eucom" else "eucom", opened)
        # frames on their way
        self.held: list[Frame] = []

    def now(self, event: Event) -> Event:
        return msgspec.structs.replace(event, at=self.end.at, mono=self.end.mono)

    @rule(event=values(AnyEvent))
    def something(self, event: Event) -> None:
        self.end._handle(event)

    @rule(event=values(AnyEvent))
    def something_now(self, event: Event) -> None:
        self.end.take(self.now(event))

    @rule(event=st.one_of(REQUESTED))
    def request(self, event: Event) -> None:
        self.end.take(self.now(event))

    @rule(event=st.one_of(HAPPENING))
    def happening(self, event: Event) -> None:
        self.end.take(self.now(event))

    @rule(epoch=st.integers(1, 3))
    def epoch(self, epoch: int) -> None:
        before = self.end.core.terms
        self.end.take(EpochOpened(at=self.end.at, mono=self.end.mono, terms=terms(epoch, answered_by="service")))
        if self.end.core.terms != before:
            self.follow()

    @rule(
        bodies=st.lists(BODIES.filter(admitted), min_size=1, max_size=3),
        order=ORDERS,
    )
    def honest(self, bodies: list[dict[str, Any]], order: str) -> None:
        frame = self.peer.sends(*[self.peer.says(body, self.end.at) for body in bodies])
        if order == "-":
            self.held.append(frame)
        else:
            for _ in order:
                self.end.receive(frame)

    @rule()
    def what_was_held_back(self) -> None:
        for frame in self.held:
            self.end.receive(frame)
        self.held.clear()

    @rule(
        body=BODIES.filter(admitted),
        really=st.integers(0, 9),
        false=st.sampled_from(FALSE_MESSAGES),
        address=st.sampled_from(FALSE_ADDRESSES),
        verdict=VERDICTS,
    )
    def two_faced(
        self, body: dict[str, Any], really: int, false: dict[str, Any], address: dict[str, Any], verdict: str
    ) -> None:
        if really != 1:  # one lie stops the direction for good
            false, address = {}, address or {"link": "x"}
        seq, head = self.peer.seq, self.peer.head
        frame = self.peer.sends(self.peer.says(body, self.end.at, **false), **address)
        self.peer.seq, self.peer.head = seq, head
        self.end.receive(frame, verdict)

    @rule(place=st.integers(0, 3), head=st.sampled_from(["", "f" * 64]))
    def receipt(self, place: int, head: str) -> None:
        known = [*self.end.outbox.hashes.items()] if isinstance(self.end.core, Link) else []
        upto, right = known[place] if place < len(known) else (place, "0" * 64)
        self.end.receive(self.peer.receipts(upto, head or right, self.end.at))

    @rule(duration=st.sampled_from([1, SECOND, 20 * SECOND, 11 * MINUTE, HOUR, 9 * HOUR]))
    def wait(self, duration: int) -> None:
        self.end.world.wait(duration)

    @rule(away=st.sampled_from([1, MINUTE, HOUR, DAY]))
    def restart(self, away: int) -> None:
        self.end.crash()
        self.end.world.at += away
        self.end.start()

    @invariant()
    def is_never_woken_for_nothing(self) -> None:
        """A deadline that is reached is met, and the next one lies ahead."""
        for _ in range(40):
            if self.end.due() > self.end.world.at:
                return
            self.end.wake()
        raise AssertionError(f"woken again and again: {self.end.core.next_deadline()}")


def test_every_event_is_drawn_in_a_form_that_means_something() -> None:
    """Arbitrary fields alone reach little: each event also has a strategy, or a rule of the machine, of its own."""
    drawn = {type(event) for strategy in (*REQUESTED, *HAPPENING) for event in [an_example(strategy)]}
    assert drawn | {EpochOpened, FrameReceived} == {*get_args(AnyEvent)}


def an_example(strategy: st.SearchStrategy[Event]) -> Event:
    """Return an event of a strategy."""
    return find(strategy, lambda _: True, settings=settings(database=None, phases=[Phase.generate]))


def test_any_event_in_any_state() -> None:
    """SPEC W5.1"""
    run_state_machine_as_test(
        AnyEventInAnyState,
        settings=settings(max_examples=60, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(values(AnyEvent))
def test_any_first_event(event: Event) -> None:
    """SPEC E1.1"""
    for core in CORES:
        End(core())._handle(event)


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(st.one_of(values(MessagePayload), values(ReceiptPayload)), st.booleans())
def test_any_payload_under_a_good_signature(payload: MessagePayload | ReceiptPayload, addressed: bool) -> None:
    """SPEC F3.6, F3.7"""
    end = End.started()
    fields = to_builtins(payload)
    if not admitted(fields):
        return
    channel: Channel = "message" if isinstance(payload, MessagePayload) else "receipt"
    if addressed:
        end.receive(Peer().frame(channel, **{key: value for key, value in fields.items() if key not in ADDRESS}))
    else:
        end.receive(sealed("ndmc", channel, canonical.encode(fields)))


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from(["message", "receipt"]))
def test_any_bytes(data: bytes, channel: Any) -> None:
    """SPEC F3.2"""
    end = End.started()
    end.receive(Frame("ndmc", channel, data))
    end.receive(sealed("ndmc", channel, data))


@pytest.mark.parametrize(
    "event",
    [
        DeadlineReached(at=START, mono=0, nonce="xyz"),
        DeadlineReached(at=START, mono=0, nonce="00112233AABBCCDD"),
        DeadlineReached(at=0, mono=0, nonce="00112233aabbccdd"),
        DeadlineReached(at=START, mono=-1, nonce="00112233aabbccdd"),
        DeadlineReached(at=1 << 60, mono=0, nonce="00112233aabbccdd"),
        ClockStepped(at=START, mono=0, step_ms=START),
        ClockStepped(at=START, mono=0, step_ms=-(10**15)),
        Resumed(at=START, mono=0, since="2022-13-01T00:00:00.000Z"),
        Resumed(at=START, mono=0, since="9999-12-31T23:59:59.999Z"),
        SlotsPlanned(at=START, mono=0, slots=("2022-02-30T00:00:00.000Z",), slots_until=written(START), tzdata="x"),
        SlotsPlanned(at=START, mono=0, slots=(), slots_until="9999-12-31T23:59:59.999Z", tzdata="x"),
        LineTestRequested(at=START, mono=0, request="x", nonce="0011"),
        WordsChosen(at=START, mono=0, test_text="Cafe\u0301"),
        WordsChosen(at=START, mono=0, answer_text="x" * 4_001),
        WordsChosen(at=START, mono=0, answer_text=""),
        LinkConfirmed(at=START, mono=0, officer="duty-1", digest="x", compared_at=written(START), first_word=1),
        LinkConfirmed(at=START, mono=0, officer="duty-1", digest=DIGESTS[0], compared_at="now", first_word=1),
        JournalRestored(at=START, mono=0, restored_at=written(START), records=1, head="x"),
        SessionBegan(at=START, mono=1, request="r", session="session-1", role="officer"),
        SessionEnded(at=START, mono=1, request="r", session="session-1", role="board", officer="watch-1", why="x"),
        JournalRestored(at=START, mono=0, restored_at="9999-12-31T23:59:59.999Z", records=1, head=DIGESTS[0]),
    ],
)
def test_an_event_that_a_core_cannot_calculate_with_is_the_callers_mistake(event: Event) -> None:
    """SPEC W5.1"""
    end = End.started()
    with pytest.raises(LocalProtocolError) as refused:
        end.core.handle(event)
    assert refused.value.code == "wrong_event"
