"""What officers type when a command asks: the question is no data, and no key press is a traceback."""

from __future__ import annotations

import io
import sys

import pytest

from endpoints.cli.output import input_line, typed_line
from endpoints.errors import UserError


def typing(monkeypatch: pytest.MonkeyPatch, typed: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), "utf-8"))


@pytest.mark.parametrize(("typed", "line"), [(b" y \n", "y"), (b"\n", ""), (b"", ""), ("да\n".encode(), "да")])
def test_a_question_goes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: bytes, line: str
) -> None:
    typing(monkeypatch, typed)
    assert typed_line("send it? [y/N] ") == line
    said = capsys.readouterr()
    assert (said.out, said.err.rstrip("\n")) == ("", "send it? [y/N] ")


def test_other_bytes_than_text_are_a_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, b"\xff\n")
    with pytest.raises(UserError, match="not in utf-8"):
        input_line()
