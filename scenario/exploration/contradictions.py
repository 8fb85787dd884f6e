"""Finds what signed frames in a journal contradict, and checks that the direction has stopped (SPEC M5, R3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import UNSET

from protocol.core.effects import Seal
from protocol.core.events import BatchClosed, FrameReceived
from protocol.core.start_events import EpochOpened
from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.digests import admitted_digest, genesis, policy_digest
from protocol.wire.messages import MessagePayload
from protocol.wire.payloads import read_message_payload, read_receipt_payload
from protocol.wire.policy import Terms
from protocol.wire.refusals import VERIFIED
from scenario.exploration.written_batch import WrittenBatch

STOPS = ("equivocation", "journal_behind")
"""The alarms with which the direction of a peer stops."""


def contradictions(written: WrittenBatch) -> None:
    """Check that a contradiction between signed frames in the journal has stopped the direction (SPEC M5, R3)."""
    if not any(isinstance(event, FrameReceived) for event, _ in written.batch):
        return
    records = [*written.earlier, *written.batch]
    begins = max((at for at, (event, _) in enumerate(records) if isinstance(event, EpochOpened)), default=0)
    own = {seq: digest for epoch, seq, digest in written.said if epoch == written.after.epoch}
    own[0] = genesis(written.terms, written.side)
    hashes = {0: genesis(written.terms, written.peer)}
    follows: dict[int, str] = {}
    sent, forked, contradicts = 0, False, False
    for event, effects in records[begins:]:
        if isinstance(event, BatchClosed):
            sent = max([sent, *(effect.last for effect in effects if isinstance(effect, Seal) and effect.last)])
        if isinstance(event, FrameReceived) and (payload := _payload(event, written.terms)) is not None:
            claim = payload.receipt if isinstance(payload, MessagePayload) else payload
            if claim is not UNSET:
                forked = forked or claim.upto > sent or own.get(claim.upto, claim.head) != claim.head
            if isinstance(payload, MessagePayload):
                for message in payload.messages:
                    digest = admitted_digest(message)
                    before = hashes.get(message.seq - 1, message.prev)
                    contradicts = contradicts or hashes.setdefault(message.seq, digest) != digest
                    follower = follows.get(message.seq + 1, digest)
                    contradicts = contradicts or before != message.prev or follower != digest
                    follows.setdefault(message.seq, message.prev)
    alarms = written.after.alarms
    if forked and ("fork", written.peer) not in alarms:
        written.broken(f"{written.peer} claims what was not sent, and no alarm says it")
    behind = any(
        isinstance(event, FrameReceived)
        and isinstance(payload := _payload(event, written.terms), MessagePayload)
        and payload.floor > written.before.applied[written.peer, written.after.epoch]
        for event, _ in written.batch
    )
    if behind and not any((code, written.peer) in alarms for code in STOPS):
        written.broken(f"{written.peer} has a receipt for more than this journal holds, and no alarm says it")
    if contradicts and not any((code, written.peer) in alarms for code in STOPS):
        written.broken(f"{written.peer} contradicts itself, and no alarm says it")


def _payload(event: FrameReceived, terms: Terms) -> Any:
    """Return the payload of a verified frame of these terms, None for any other."""
    if event.verdict != VERIFIED:
        return None
    payload = _read(event.channel, event.frame)
    if payload is None or {payload.recipient, event.sender} != {terms.caller, terms.answering}:
        return None
    address = (payload.link, payload.epoch, payload.sender, payload.policy)
    return payload if address == (terms.link, terms.epoch, event.sender, policy_digest(terms)) else None


@lru_cache(maxsize=4096)
def _read(channel: str, frame: bytes) -> Any:
    try:
        payload = envelope.parse(frame).payload
        return read_receipt_payload(payload) if channel == "receipt" else read_message_payload(payload)
    except RemoteProtocolError:
        return None
