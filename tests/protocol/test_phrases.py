from __future__ import annotations

import msgspec
import pytest

from protocol.errors import JournalError, LinkError, RemoteProtocolError
from protocol.phrases import Phrase, Said, phrase, rephrased, said, worded


def test_a_phrase_is_its_english_wording_and_keeps_what_it_was_made_from() -> None:
    made = phrase("{who} is {way}", who="eucom", way=phrase("ahead by {count} s", count=9))

    assert made == "eucom is ahead by 9 s"
    assert said(made) == Said(
        text="{who} is {way}", values={"who": "eucom", "way": Said(text="ahead by {count} s", values={"count": 9})}
    )
    assert said("a plain text") is None


def test_a_phrase_survives_an_error_and_a_journal() -> None:
    made = phrase("no room for {count} more", count=2)

    assert said(LinkError(made).args[0]) == said(made)
    written = msgspec.json.encode(said(made))
    assert written == b'{"text":"no room for {count} more","values":{"count":2}}'
    assert msgspec.json.decode(written, type=Said) == said(made)


def test_an_error_keeps_the_phrase_that_it_was_raised_with() -> None:
    reason = phrase("{name} is missing", name="a hash")

    assert said(worded(JournalError(7, reason))) == Said(
        text="record {record}: {reason}",
        values={"record": 7, "reason": Said(text="{name} is missing", values={"name": "a hash"})},
    )
    assert worded(RemoteProtocolError("malformed", reason)) == "malformed: a hash is missing"
    assert worded(RemoteProtocolError("malformed")) == "malformed"
    wrapped = phrase("{error}", error=JournalError(7, reason))
    assert wrapped == "record 7: a hash is missing"
    assert isinstance(wrapped.values["error"], Phrase)
    assert worded(ValueError("no")) == "no"
    assert phrase("{path}", path=None) == "None"


def test_a_phrase_comes_back_from_a_journal_or_a_socket() -> None:
    made = phrase("{who} is {way}", who="eucom", way=phrase("ahead by {count} s", count=9))
    written = said(made)

    for made_from in (written, msgspec.to_builtins(written)):
        again = rephrased(str(made), made_from)
        assert isinstance(again, Phrase)
        assert said(again) == written


def repeated(depth: int) -> dict[str, object]:
    return {"text": "{a}" * 1_000, "values": {"a": repeated(depth - 1) if depth else "x" * 1_000}}


def nested(depth: int) -> dict[str, object]:
    return {"text": "{a}", "values": {"a": nested(depth - 1) if depth else "x"}}


@pytest.mark.parametrize(
    "made_from",
    [
        None,
        msgspec.UNSET,
        "x",
        {"text": "y"},
        {"text": "{a}"},
        {"text": "{a.__class__}", "values": {"a": "x"}},
        {"text": "x", "values": {}, "more": 1},
        nested(8),
        repeated(0),
        # 10 ** 24 characters, if it were made
        repeated(6),
    ],
)
def test_a_text_that_was_made_from_something_else_stays_as_it_is(made_from: object) -> None:
    kept = rephrased("x", made_from)

    assert kept == "x"
    assert not isinstance(kept, Phrase)
    assert isinstance(rephrased("x", nested(7)), Phrase)
