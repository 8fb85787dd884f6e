"""The table of characters is that of Unicode 14.0, and the versions of Python agree on what it admits (SPEC F4.4)."""

import sys
import unicodedata

import pytest

from protocol.wire.characters import _FREQUENT, UNICODE, _assigned, unassigned
from tests.support.assigned_characters import MODULE, assigned, renewed


@pytest.fixture(scope="module")
def admitted() -> list[str]:
    """Every character that the table admits."""
    return [character for character in map(chr, range(sys.maxunicode + 1)) if unassigned(character) is None]


@pytest.mark.skipif(not unicodedata.unidata_version.startswith(UNICODE), reason="Python 3.11 has Unicode 14.0")
def test_the_table_is_generated(admitted: list[str]) -> None:
    text = MODULE.read_text()
    assert renewed(text, assigned()) == text, "stale: python -m tests.support.assigned_characters, under Python 3.11"
    assert [character for first, last in assigned() for character in map(chr, range(first, last + 1))] == admitted


def test_every_later_version_has_these_characters(admitted: list[str]) -> None:
    assert {"Cn", "Cs"}.isdisjoint(map(unicodedata.category, admitted))
    assert len(admitted) == 144_697 + 137_468 + 65  # graphic and format characters, private use, controls


def test_surrogates_noncharacters_and_newer_characters_are_not_among_them() -> None:
    for character in ("\ud800", "\udfff", "\ufdd0", "\ufdef", "\ufffe", "\U0010ffff", "\u0378", "\U0001e08f"):
        assert unassigned(f"я{character}я") == character
    assert unassigned("") is None
    assert unassigned("Внимание\n\ue000\U0001f600") is None


def test_quotation_mark_backslash_and_newline_compose_with_no_character(admitted: list[str]) -> None:
    """So a JSON text is in NFC if and only if each of its strings is."""
    for before in ('"', "\\", "\n"):
        assert all(unicodedata.normalize("NFC", before + character)[0] == before for character in admitted)


def test_frequent_characters_are_in_the_table() -> None:
    for character in map(chr, range(0x2200)):
        if _FREQUENT.fullmatch(character):
            assert _assigned().fullmatch(character), f"U+{ord(character):04X}"
