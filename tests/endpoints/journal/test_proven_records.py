"""Records that a journal writes without reading them again can be read, whatever their senders put in."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from endpoints.control.requests import AskAlert
from endpoints.runtime.ports import Now
from protocol.core.event import Event
from protocol.core.events import BatchClosed, FrameReceived, NotificationDone
from protocol.core.link import Link
from protocol.errors import LocalProtocolError
from protocol.record.journal import ORIGIN, decode, encode
from protocol.record.proven import proven
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.messages import AnyBody
from tests.support.arbitrary import values
from tests.support.world import START, End
from tests.vectors.terms import message_frame, signed, stream

BODIES = st.one_of(values(AnyBody).map(msgspec.to_builtins), st.dictionaries(st.text(max_size=3), st.text(max_size=3)))


def take(core: Link, event: Event) -> tuple[Any, ...]:
    """Hand an event to a core; its record, if it is proven, is read as it was written."""
    effects: Any = core.handle(event)
    entry: Any = event
    if proven(entry, effects):
        line, _ = encode(9, "eucom-ndmc", core.side, 9, entry, effects, ORIGIN, read_again=False)
        record = decode(line)
        assert (record.entry, record.effects) == (entry, effects)
    return tuple(effects)


def closed(core: Link) -> tuple[Any, ...]:
    frames = tuple(signed(PAYLOAD_TYPES[each.channel], each.payload, core.side) for each in core.unsealed(START))
    return take(core, BatchClosed(at=START, mono=1, frames=frames))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(ask=values(AskAlert))
def test_what_an_officer_may_send_is_readable(ask: AskAlert) -> None:
    """The control socket decodes a request as `AskAlert`, so this is every alert that reaches a core."""
    ends = {"expires_in_s": 60, "expires_at": msgspec.UNSET}
    sent = msgspec.json.encode(msgspec.structs.replace(ask, **ends))
    core = End.started("eucom").link
    try:
        event = msgspec.json.decode(sent, type=AskAlert).event(Now(START, 1, 1))
        take(core, event)
    except (LocalProtocolError, msgspec.ValidationError):
        return
    closed(core)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(bodies=st.lists(BODIES, min_size=1, max_size=3))
def test_what_a_peer_may_send_is_readable(bodies: list[dict[str, Any]]) -> None:
    core = End.started("eucom").link
    try:
        frame = message_frame("ndmc", stream("ndmc", *bodies))
    except ValueError:
        # no canonical message
        return
    event = FrameReceived(at=START, mono=1, channel="message", sender="ndmc", frame=frame, verdict="verified")
    effects = take(core, event)
    for effect in effects:
        if identifier := getattr(effect, "id", ""):
            take(core, NotificationDone(at=START, mono=1, id=identifier, delivered=True))
    closed(core)


@settings(max_examples=100, deadline=None)
@given(frame=st.binary(max_size=80), verdict=st.sampled_from(["verified", "bad_signature", "malformed_envelope"]))
def test_what_is_no_frame_is_readable(frame: bytes, verdict: str) -> None:
    core = End.started("eucom").link
    take(core, FrameReceived(at=START, mono=1, channel="message", sender="ndmc", frame=frame, verdict=verdict))
