"""Runs the product on golden journals: the command line on them, and the running links that continue them.

Of the tests of golden journals only this module names the product's parts, and `tests.support.exchange`, on which it
builds.

A case is a folder: `link.toml`, `keys/SIDE/`, `journal/NAME/`, and `output/NAME.jsonl` where output was collected.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec import Struct

from endpoints.cli.main import main
from endpoints.config import default_terms, link_file
from endpoints.keys.signer import Signer
from protocol.core.core import Core
from protocol.core.events import OfficerCancelled
from protocol.wire.instants import Millis
from tests.golden.cases import Run
from tests.support.exchange import SEGMENT_BYTES, STEP, WATCH, Exchange
from tests.support.world import MINUTE

RULES = Core.RULES
"""The version of the rules that this code runs."""
_SMALL_BYTES = 6_000
"""A segment of a continued journal is followed by the next after some ten records."""


def deconflict(case: Path, arguments: Sequence[str], stdin: str = "") -> Run:
    """Run a command of the command line in the folder `case`, with the file `stdin` on standard input."""
    code, text = _run(case, arguments, stdin)
    return Run(tuple(arguments), stdin, code, json.loads(text) if text else None)


def rich(case: Path, arguments: Sequence[str]) -> str:
    """Return what a command that succeeds prints for people, with single spaces."""
    code, text = _run(case, arguments, "")
    assert code == 0, text
    return " ".join(text.split())


def printed(case: Path, arguments: Sequence[str]) -> str:
    """Return what a command prints for people, whatever it ends with."""
    return _run(case, arguments, "")[1]


def _run(case: Path, arguments: Sequence[str], stdin: str) -> tuple[int, str]:
    out = io.StringIO()
    with (
        chdir(case),
        Path(stdin or "/dev/null").open(encoding="utf-8") as given,
        patch("sys.stdin", given),
        redirect_stdout(out),
        redirect_stderr(io.StringIO()),
    ):
        try:
            main([*arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return code, out.getvalue()


class Continued(Struct, frozen=True):
    """One journal that was opened and gone on with: its last record before and after, and the state it led to."""

    records_before: int
    head_before: str
    state_before: dict[str, Any]
    records_after: int
    head_after: str


def exchange_of(case: Path, *, at: Millis = 0, segment_bytes: int = SEGMENT_BYTES, tag: str = "continued") -> Exchange:
    """Return an exchange on the journals, keys and link file of `case`, not opened yet."""
    file = link_file.load(case / "link.toml")
    names = (file.terms.caller, file.terms.answering, *([WATCH] if file.watch else []))
    signers = {name: Signer.load(case / "keys" / name) for name in names}
    return Exchange(case / "journal", file, signers=signers, at=at, segment_bytes=segment_bytes, tag=tag)


def go_on(case: Path) -> dict[str, Continued]:
    """Continue every journal of `case` in one exchange that ends with a clean stop; return what became of each.

    Each journal gets a start, what officers still had to do, an alert and an acknowledgement of either side, and
    checkpoints.
    """
    exchange = exchange_of(case, segment_bytes=_SMALL_BYTES)
    exchange.open()
    before = {
        name: (end.journal.n, end.journal.head, json.loads(msgspec.json.encode(end.core.snapshot(), enc_hook=str)))
        for name, end in exchange.ends.items()
    }
    exchange.start()
    exchange.run(MINUTE)
    for side in exchange.sides:
        for draft in exchange.ends[side].core.snapshot().drafts:
            officers = default_terms.officers(side)
            another = next(officer for officer in officers if officer != draft.officer)
            if draft.officer in officers:
                exchange.release(side, draft.draft, officer=another)
            else:  # SPEC P1.5: its author is not enrolled here
                exchange.ask(side, OfficerCancelled, officer=another, draft=int(draft.draft.removeprefix("draft/")))
        exchange.acknowledge_alarms(side)
    exchange.answer_tests()
    for side in exchange.sides:
        reference = exchange.alert(side)
        exchange.run(STEP)
        exchange.acknowledge(reference)
        exchange.run(STEP)
    exchange.stop()
    return {name: Continued(*before[name], end.journal.n, end.journal.head) for name, end in exchange.ends.items()}
