"""Errors of the protocol, by whose fault they are.

LinkError
├── LocalProtocolError     the caller's: an officer's or a service's request that the state does not allow
├── RemoteProtocolError    the peer's or the broker's: a frame or message that is refused
├── EnrolmentError         the link file's: a public key that may not be enrolled
└── JournalError           the disk's or a forger's: a record that is not what was written
"""

from __future__ import annotations


class LinkError(Exception):
    """Anything the link can say is wrong, in one line for a person."""


class LocalProtocolError(LinkError):
    """The caller asked for what the present state does not allow; nothing has changed.

    Attributes:
        code: a short word that programs may compare, such as `unknown_reference`.
        detail: what is wrong and what would be right.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class RemoteProtocolError(LinkError):
    """A frame or a message from outside is refused.

    Attributes:
        reason: one of `protocol.wire.refusals.FrameRefusal` or `MessageRefusal`: what the journal records.
        detail: what exactly was wrong, for the person who reads the journal.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class EnrolmentError(LinkError):
    """A public key, or a party's set of keys, that may not be enrolled: which, and what is wrong with it (SPEC F5)."""


class JournalError(LinkError):
    """A journal is damaged: which record, and what is wrong with it.

    Attributes:
        record: the number `n` of the record (or the one that should stand there).
        reason: what is wrong.
    """

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(f"record {record}: {reason}")
        self.record = record
        self.reason = reason
