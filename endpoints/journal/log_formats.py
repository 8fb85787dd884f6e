"""Unpacks the lines of log systems: Docker's json-file, Kubernetes' CRI format, journald, and other JSON around a line.

Each gives the text that the process printed, or a piece of it, and the channel that it came through: pieces of one line
have one channel. Prefixes of text logs are left in place: see `Joiner`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Raw, Struct

from protocol.record.collected import START

WRAPPED_MAX_BYTES: Final = 1 << 24
"""Maximum length of a JSON object around a line. Log systems split lines at 16 to 256 KiB."""
_DEPTH_MAX: Final = 4
_CHANNEL_MAX: Final = 200

_ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
_CRI: Final = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) [PF](?::[^ ]*)? ", re.ASCII
)
# a field of `journalctl -o json-pretty`
_FIELD: Final = re.compile(rb'\s*"(?:MESSAGE|log|message)"\s*:\s*(".*"),?\s*')
_TEXTS: Final = (
    *("MESSAGE", "log", "message", "msg", "line", "textPayload", "body", "_raw", "full_message", "short_message"),
)
# what tells the streams of one file apart
_LABELS: Final = (
    *("stream", "attrs", "container_id", "container_name", "kubernetes", "host", "tag"),
    *("_STREAM_ID", "_PID", "_SYSTEMD_UNIT", "CONTAINER_ID_FULL", "CONTAINER_NAME", "SYSLOG_IDENTIFIER"),
)
# an ordinary line of an endpoint, whatever other fields it has
_OWN: Final = {"at", "level", "event"}
_QUOTED_START: Final = rb"{\"n\":"
_QUOTED_MAX_BYTES: Final = 1 << 20
_STRING: Final = re.compile(rb'(?:[^"\\]|\\.)*', re.DOTALL)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ARRAY: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str | list[int] | None)


class Entry(Struct, frozen=True):
    """What one line of a log contains.

    Attributes:
        channel: the source that it came from, as far as the line names it.
        text: what the process printed, without the end of the line.
        ordinary: it is a JSON object that contains no text of a process.
        broken: the line could not be unpacked completely.
        left_out: journalctl gave no text, since it was too long.
    """

    channel: bytes
    text: bytes
    ordinary: bool = False
    broken: bool = False
    left_out: bool = False


def entries(line: bytes) -> Iterator[Entry]:
    """Yield what a line of a log contains: one entry, or several if it wraps several lines."""
    return _unpacked(line, b"", 0)


def _unpacked(line: bytes, channel: bytes, depth: int) -> Iterator[Entry]:
    if b"\x1b" in line:
        line = _ESCAPES.sub(b"", line)
    line = line.rstrip(b"\r\n")
    if (cri := _CRI.match(line)) is not None and depth < _DEPTH_MAX:
        yield from _unpacked(line[cri.end() :], channel + b" " + cri[1], depth + 1)
    elif depth == _DEPTH_MAX or START.search(line) is not None:
        yield Entry(channel, line)
    elif (pretty := _FIELD.fullmatch(line)) is not None and (text := _text(Raw(pretty[1]))) is not None:
        yield from _lines(text, channel, depth)
    else:
        yield from _object(line, channel, depth)


def _object(line: bytes, channel: bytes, depth: int) -> Iterator[Entry]:
    """Yield what a JSON object at the end of a line wraps, or an array of them; the line itself if there is none."""
    if line.startswith(b"[{") and line.endswith(b"]") and len(line) <= WRAPPED_MAX_BYTES:
        try:
            listed = _ARRAY.decode(line)
        except (ValueError, RecursionError):
            listed = []
        if listed:
            for each in listed:
                yield from _unpacked(bytes(each), channel, depth + 1)
            return
    start = line.find(b"{")
    fields: dict[str, Raw] | None = None
    if start >= 0 and line.endswith(b"}") and len(line) - start <= WRAPPED_MAX_BYTES:
        try:
            fields = _OBJECT.decode(memoryview(line)[start:])
        except (ValueError, RecursionError):
            fields = None
    if fields is None:
        yield Entry(channel, line) if (text := _quoted(line)) is None else Entry(channel, text, broken=True)
        return
    own = fields.keys() >= _OWN
    for name in _TEXTS:
        if not own and name in fields and (text := _text(fields[name])) is not None:
            labels = (label.encode() + bytes(fields[label]) for label in _LABELS if label in fields)
            inner = b" ".join([channel, *labels])
            yield from _lines(text, inner if len(inner) <= _CHANNEL_MAX else sha256(inner).digest(), depth)
            return
    if (text := _quoted(line)) is not None:
        yield Entry(channel, text.rstrip(b"\r\n"))
    elif "MESSAGE" in fields and bytes(fields["MESSAGE"]) == b"null":
        yield Entry(channel, b"", left_out=True)
    else:
        yield Entry(channel, line, ordinary=True)


def _lines(text: bytes, channel: bytes, depth: int) -> Iterator[Entry]:
    for line in text.removesuffix(b"\n").split(b"\n"):
        yield from _unpacked(line, channel, depth + 1)


def _quoted(line: bytes) -> bytes | None:
    """Return the text in a JSON string that contains the beginning of a record, whatever is around the string."""
    place = line.find(_QUOTED_START) if len(line) <= _QUOTED_MAX_BYTES else -1
    if place < 0:
        return None
    opened = place
    while (opened := line.rfind(b'"', 0, opened)) > 0 and line[opened - 1 : opened] == b"\\":
        pass
    inside = _STRING.match(line, opened + 1)
    return None if inside is None else _text(Raw(b'"%b"' % inside[0]))


def _text(value: Raw) -> bytes | None:
    """Return a text in a JSON string, or in an array of bytes; None for anything else."""
    try:
        text = _TEXT.decode(value)
        return text.encode() if isinstance(text, str) else None if text is None else bytes(text)
    except (ValueError, RecursionError):
        return None
