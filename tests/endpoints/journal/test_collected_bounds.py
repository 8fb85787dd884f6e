"""Hostile collected logs: what they may cost is bounded."""

from __future__ import annotations

import pytest

from endpoints.errors import UserError
from endpoints.journal import collected_log, log_joiner
from tests.endpoints.journal.test_collected_log import SHORT, missing, numbers, reading
from tests.support.journal_samples import checkpoint, lines_of


def test_a_line_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected_log, "LINE_MAX_BYTES", 5_000)
    with pytest.raises(UserError, match="a line is longer than 5000 bytes"):
        numbers(reading(b"".join(SHORT) + b"x" * 6_000))


def test_pieces_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_joiner, "OPEN_MAX_BYTES", 10_000)
    beginning = SHORT[4][:100] + b"\n"
    endless = [beginning, *([b"abcdefgh" * 10 + b"\n"] * 1_000)]
    assert missing(b"".join([*SHORT[:4], *endless, *SHORT[5:]])) == [(5, 5)]
    many = [b'{"n":%d,"link":"eucom-ndmc","side":"eucom","ba\n' % n for n in range(100, 400)]
    reader = reading(b"".join([*SHORT, *many]))
    assert numbers(reader) == list(range(1, len(SHORT) + 1))
    assert reader.verification.verdict == "incomplete"


def test_ends_without_end_are_given_up() -> None:
    end = SHORT[3][-170:]
    log = [*SHORT[:4], SHORT[4][:100] + b"\n", *([end] * 300), *SHORT[5:]]
    assert missing(b"".join(log)) == [(5, 5)]


def test_numbers_of_any_size_take_no_space() -> None:
    far = lines_of([checkpoint(1)], n=10**15)
    reader = reading(b"".join([*SHORT, *far]))
    assert numbers(reader)[-1] == 10**15
    assert missing(b"".join([*SHORT, *far])) == [(len(SHORT) + 1, 10**15 - 1)]
