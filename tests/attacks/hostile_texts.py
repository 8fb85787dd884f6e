"""Texts that another party could write to deceive the reader of a view, and how a view's structure is compared.

A view of benign texts shows its structure: which lines begin how far left, and with what. With hostile texts it must
have the same structure. What they are made of may only stand further right, behind what the view itself has written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len

MARK = "Qz"
"""Begins each line of a hostile text."""

ROWS = (
    "29 Nov 2022, 08:59:00  ndmc/1/9  acknowledged, duty-1",
    "29 нояб. 2022 г., 08:59:00  ndmc/1/9  подтверждено, duty-1",
    "      7  2022-11-29T08:00:00.000Z  BatchClosed",
    "2022-11-29T08:00:00.000Z  eucom     cleared: fork (ndmc)",
    "2022-11-29 08:00:00 UTC  eucom     stopped",
    "  acts            29 Nov 2022, 08:00:00 UTC  ndmc, duty-1: understood (ndmc/1/7)",
    "ndmc/1/9      29 Nov  alert: FLASH",
    "eucom-ndmc (EXERCISE), eucom: FINE",
    "THE JOURNALS AGREE: 9 messages",
    "  seen          " + "0" * 64,
    "deconflict: done",
)
"""Lines as the views write them."""

CORPUS = {
    "newlines": "".join(f"{end}{ROWS[0]}" for end in ("\n", "\r", "\r\n", *"\x0b\x0c\x1c\x85\u2028\u2029")),
    "rows": "".join(f"\n{row}" for row in ROWS),
    "folded rows": "".join(" " * pad + row for row in ROWS for pad in (0, 40, 57, 78)),
    "tabs": "\t\t\t" + "\t".join(ROWS),
    "escape sequences": "\x1b[2J\x1b[H\x1b[1A\x1b[2K" + ROWS[0] + "\x1b]0;title\x07\x1b[8m\x9b2J\x1bM\x08\x08\x7f",
    "bidi": "\u202e" + ROWS[0][::-1] + "\u202c\u2066\u2067\u2069\u200e\u200f\u061c",
    "right to left": "שלום עולם " * 20 + "مرحبا بالعالم " * 20,
    "zero width": "\u200b\u200c\u200d\u2060\ufeff\u034f\u180e\u3164\u2800\ufe0f\U000e0041\U000e0100".join("invisible"),
    "combining storm": "".join("a" + "\u0301\u0338\u20dd" * 60 for _ in range(9)),
    "full width": "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else "\u3000" for each in ROWS[0] * 3),
    "no spaces": "x" * 700,
    "wide without spaces": "漢" * 300,
    "braces": "{x} {0} {count} {link.__class__} {{}} {",
    "markup": "[bold red]FLASH[/bold red] [/] [link=x]y[/link] [@click=f()]z :warning: \\[bold]",
    "bars": "\n| " + "\n| ".join(ROWS) + "\n  | " + ROWS[5],
    "surrogates and private use": "\ue000\uf8ff\U000f0000\ufffd",
    "many lines": "\n" * 60 + ROWS[0],
}
"""One text for each kind of deceit, without its mark."""


def hostile(kind: str) -> str:
    """Return a hostile text; each of its lines begins with the mark, apart from look-alikes of rows."""
    return f"{MARK} {CORPUS[kind][:2_000]} {MARK}"


def on_the_wire(text: str, limit: int = 4_000) -> str:
    """Return a text as a peer's frame may hold it: composed, without control characters but newline (SPEC F4.4)."""
    kept = "".join(each for each in text if each == "\n" or unicodedata.category(each) not in {"Cc", "Cn", "Cs"})
    return unicodedata.normalize("NFC", kept)[:limit]


def unprintable(output: str) -> set[str]:
    """Return the characters of an output that a terminal acts upon or does not show, apart from the ends of lines."""
    return {each for each in output if each != "\n" and unicodedata.category(each)[0] == "C"}


def structure(lines: Iterable[str], inner: int, width: int) -> list[str]:
    """Return the beginnings of the lines that begin left of column `inner`: what the view itself has written."""
    return [line[:width] for line in lines if line.strip() and len(line) - len(line.lstrip(" ")) < inner]


def too_wide(lines: Iterable[str], columns: int) -> list[str]:
    """Return the lines that a terminal would fold itself, to its left margin."""
    return [line for line in lines if cell_len(line.rstrip()) > columns]
