"""Types of the fields of events that the wire does not have."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.wire.messages import INTEGER_MAX
from protocol.wire.words import FINGERPRINT_WORDS

Rules = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}\Z")]
"""A version of the rules that lead from events to effects and state: a number."""
CertificateOwner = Literal["own", "authority", "broker"]
"""Whose certificate: this process's, the authority's that issues them, the broker's."""
CredentialSource = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}(/[A-Za-z0-9-]{1,64})?\Z")]
"""Where credentials came from: the user of the process at the control socket (`uid-1000`), or a session of theirs."""

SessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{8,64}\Z")]
"""What a session of a console is called: no secret, and not what its browser shows."""
SessionRole = Literal["officer", "board", "investigator"]
"""What a session of a console may see: an officer's everything; a board without texts; an investigator's the record."""

SinkName = Literal["log", "command", "webhook", "dead_man"]
"""What a process reports to: the receivers of notifications, and the monitor that expects a regular sign of life."""
Why = Annotated[str, Meta(min_length=1, max_length=200)]
"""A reason in a few words."""
Draw = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""Eight random bytes, hexadecimal."""
WordPlace = Annotated[int, Meta(ge=1, le=FINGERPRINT_WORDS)]
"""The place of a word of a fingerprint, from 1 (SPEC E1.7)."""
Times = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
"""How often something happened: at least once."""
