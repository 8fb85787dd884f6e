"""Checks argument values that cyclopts cannot check."""

from __future__ import annotations

import msgspec

from endpoints.errors import UserError
from protocol.wire.messages import Identifier


def identifier(value: str, *, option: str) -> str:
    """Return `value` if it can name a link, a party, an officer. Raises UserError naming the option."""
    try:
        return msgspec.convert(value, Identifier)
    except msgspec.ValidationError:
        raise UserError(
            f"--{option}: expected an id of at most 32 lower-case letters, digits and hyphens, found {value[:60]!r}"
        ) from None
