from __future__ import annotations

import msgspec

from protocol.errors import LinkError
from protocol.phrases import Said, phrase, said


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
