"""Recognises records of a newer version of this software, so that nobody takes them for damage.

A newer version may write events and fields that this one does not know. Its records give their hash, and the checkpoint
before them, or the record itself, names rules beyond those known here.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.core.core import Core
from protocol.errors import NewerVersionError
from protocol.record.journal import complete_record_in
from protocol.record.migration import objection


class _Naming(Struct):
    """What of a record says which rules it was written under."""

    rules: str = ""


def raise_if_newer(line: bytes, rules: int, place: int) -> None:
    """Raise NewerVersionError if a line that is not a record can be one of a newer version.

    Args:
        line: the line, without its newline.
        rules: the version of the rules of the record before it, 0 if there is none.
        place: the number expected of the record.
    """
    if complete_record_in(line) != len(line):
        return
    try:
        named = msgspec.json.decode(line, type=_Naming).rules
    except (ValueError, RecursionError):
        named = ""
    if named.isascii() and named.isdigit():
        rules = max(rules, int(named[:9]))
    if wrong := objection(str(rules), Core.RULES):
        raise NewerVersionError(place, wrong)
