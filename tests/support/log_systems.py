"""Keeps lines as log systems do: prefixes, wraps and splits them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

LogSystem = Callable[[Sequence[bytes]], list[bytes]]
"""Given whole lines with their newlines, returns the lines that the system keeps, with theirs."""

TIME = "2022-11-29T10:00:%02d.%09dZ"


def prefixed(prefix: bytes, size: int = 1 << 30) -> LogSystem:
    """Return a system that puts a prefix in front of each piece of a line; `%d` in it becomes the second."""

    def keep(lines: Sequence[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for line in lines:
            for piece in pieces(line.rstrip(b"\n"), size):
                front = prefix % (len(kept) % 10) if b"%d" in prefix else prefix
                kept.append(front + piece + b"\n")
        return kept

    return keep


def docker_json_file(size: int = 16_384, stream: str = "stdout") -> LogSystem:
    """Return Docker's json-file. Bytes that are not text become U+FFFD, as in a character that a split divides."""

    def keep(lines: Sequence[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for line in lines:
            for piece in pieces(line, size):
                fields = {"log": as_text(piece), "stream": stream, "time": TIME % (len(kept) % 60, len(kept))}
                kept.append(_object(fields))
        return kept

    return keep


def cri(size: int = 16_384) -> LogSystem:
    """Return Kubernetes' format: a time, the stream, and P for all pieces of a line but the last."""

    def keep(lines: Sequence[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for line in lines:
            *partial, last = pieces(line.rstrip(b"\n"), size)
            for tag, piece in [*((b"P", each) for each in partial), (b"F", last)]:
                time = (TIME % (len(kept) % 60, len(kept))).encode()
                kept.append(b"%b stdout %b %b\n" % (time, tag, piece))
        return kept

    return keep


def journald(size: int = 49_152, *, everything: bool = True) -> LogSystem:
    """Return `journalctl -o json`: bytes that are not text become an array; long messages null unless `everything`."""

    def keep(lines: Sequence[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for line in lines:
            *partial, last = pieces(line.rstrip(b"\n"), size)
            for piece in [*partial, last]:
                try:
                    message: object = piece.decode()
                except UnicodeDecodeError:
                    message = [*piece]
                if not everything and len(piece) > 4_096:
                    message = None
                fields = {"__CURSOR": f"s={len(kept)}", "_PID": "117", "MESSAGE": message}
                kept.append(_object(fields if piece is last else fields | {"_LINE_BREAK": "line-max"}))
        return kept

    return keep


def wrapped(field: str, **others: object) -> LogSystem:
    """Return a system that wraps each line in a JSON object of its own."""
    return lambda lines: [_object(others | {field: line.rstrip(b"\n").decode()}) for line in lines]


def pieces(line: bytes, size: int) -> list[bytes]:
    """Split a line into pieces of `size` bytes, the last one shorter."""
    return [line[at : at + size] for at in range(0, len(line), size)]


def as_text(piece: bytes) -> str:
    """Return bytes as text, with U+FFFD for each byte that is none."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if "\udc80" <= each <= "\udcff" else each
        for each in piece.decode("utf-8", "surrogateescape")
    )


def _object(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
