"""Connects two cores in memory: an alert, its receipt, a deadline that passes, and the acknowledgement.

Run it: `.venv/bin/python examples/two_cores.py`. A core takes events and returns effects. It has no clock, network or
disk, so this script provides the time and carries the frames. It signs nothing: `one_frame.py` shows signatures.
"""

from protocol.core.event import Event
from protocol.core.events import (
    BatchClosed,
    DeadlineReached,
    FrameReceived,
    OfficerAcknowledged,
    OfficerRaisedAlert,
    Started,
    TransportConnected,
)
from protocol.core.link import Link
from protocol.core.start_events import EpochOpened
from protocol.wire import envelope
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import parsed
from protocol.wire.messages import Reference
from protocol.wire.policy import Policy, Terms
from protocol.wire.refusals import VERIFIED

# What both sides have agreed. Two line tests a day are in the schedule, but none is due in this example.
POLICY = Policy(
    status="exercise",
    slots=("0 9,17 * * *",),
    zone="Europe/Berlin",
    categories=("critical_infrastructure",),
    languages=("en",),
    test_language="en",
    test_text="Line test. How do you read?",
    answer_text="Loud and clear.",
)
TERMS = Terms(link="eucom-ndmc", epoch=1, caller="eucom", answering="ndmc", policy=POLICY)


def take(side: str, event: Event) -> None:
    """Hand `event` to a core, close the batch, and carry the frames of the batch to the peer."""
    core = cores[side]
    core.handle(event)
    unsealed = core.unsealed(event.at)
    frames = tuple(envelope.seal(PAYLOAD_TYPES[each.channel], each.payload, [("none", b"")]) for each in unsealed)
    core.handle(BatchClosed(at=event.at, mono=event.mono, frames=frames))
    # An endpoint writes the events and their effects to its journal here. Only then do the frames leave.
    peer, at = "ndmc" if side == "eucom" else "eucom", event.at + 1_000
    for each, frame in zip(unsealed, frames, strict=True):
        take(peer, FrameReceived(at=at, mono=at, channel=each.channel, sender=side, frame=frame, verdict=VERIFIED))


def show(what: str) -> None:
    """Print how far the alert has come and which alarms there are, as eucom's core knows it."""
    snapshot = cores["eucom"].snapshot()
    alarms = [f"{alarm.code} ({'over' if alarm.cleared_at else 'active'})" for alarm in snapshot.alarms]
    print(f"{what} alert {snapshot.alerts[0].state}; alarms: {', '.join(alarms) or 'none'}")


morning = parsed("2022-11-29T09:00:00.000Z")  # instants are in milliseconds
night = morning + 8 * 3_600_000
cores = {side: Link.new(TERMS.link, side) for side in ("eucom", "ndmc")}
for each in cores.values():
    until = "2022-11-30T00:00:00.000Z"
    each.handle(EpochOpened(at=morning, mono=morning, terms=TERMS))
    each.handle(Started(at=morning, mono=morning, software="example", slots=(), slots_until=until, tzdata="2026.1"))
    each.handle(TransportConnected(at=morning, mono=morning))

alert = OfficerRaisedAlert(
    at=morning,
    mono=morning,
    request="request-1",
    officer="watch-1",
    status="exercise",
    category="critical_infrastructure",
    precedence="routine",
    event_at="2022-11-29T09:00:00.000Z",
    expires_at="2022-11-30T09:00:00.000Z",
    text={"en": "Concerned by operations near the dam."},
)
take("eucom", alert)
show("09:00")

for side in cores:
    take(side, DeadlineReached(at=night, mono=night, nonce="00112233aabbccdd"))
show("17:00")

at, of = night + 60_000, Reference("eucom", epoch=1, seq=1)
take("ndmc", OfficerAcknowledged(at=at, mono=at, request="request-1", officer="duty-1", of=of, decision="understood"))
show("17:01")
