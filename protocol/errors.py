"""Exceptions of the protocol, classified by which party is at fault.

LinkError
├── LocalProtocolError     the caller: an officer or a service requested what the state does not allow
├── RemoteProtocolError    the peer or the broker: it sent a frame or a message that is refused
├── EnrolmentError         the link file: it lists a public key that may not be enrolled
└── JournalError           the disk or a forger: a record differs from what was written
"""

from __future__ import annotations

from protocol.phrases import phrase


class LinkError(Exception):
    """The base class of all protocol errors; its text is one line for a person."""


class LocalProtocolError(LinkError):
    """The caller requested something that the current state does not allow; the state is unchanged.

    Attributes:
        code: a stable identifier that programs may compare, such as `unknown_reference`.
        detail: what is wrong and what would be right.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class RemoteProtocolError(LinkError):
    """A received frame or message is refused.

    Attributes:
        reason: a `FrameRefusal` or `MessageRefusal` of `protocol.wire.refusals`; the journal records it.
        detail: what exactly was wrong, for the person who reads the journal.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(phrase("{reason}: {detail}", reason=reason, detail=detail) if detail else reason)
        self.reason = reason
        self.detail = detail


class EnrolmentError(LinkError):
    """A public key, or a party's set of keys, may not be enrolled; the text names it and the reason (SPEC F5)."""


class JournalError(LinkError):
    """A journal is damaged; the text names the record and the reason.

    Attributes:
        record: the number `n` of the damaged record, or the number expected in its place.
        reason: what is wrong.
    """

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(at_record(record, reason))
        self.record = record
        self.reason = reason


class NewerVersionError(LinkError):
    """A record was written by a newer version of this software, and cannot be read here; the text names the record."""

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(at_record(record, reason))


def at_record(record: int, reason: str) -> str:
    """Return what is wrong at a record, in one line that names the record once: some reasons do so themselves."""
    named = reason.startswith((f"record {record} ", f"records {record} "))
    return reason if named else phrase("record {record}: {reason}", record=record, reason=reason)
