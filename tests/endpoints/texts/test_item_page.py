"""Pages of messages: every field is shown, and no foreign text can pass for a field, an act or the digest."""

from __future__ import annotations

import re
from typing import Any

import pytest

from endpoints.texts.i18n import translator
from endpoints.texts.item_page import ItemPage, ShownAct, item_lines
from endpoints.texts.items import draft_page, entry_page, message_row
from endpoints.texts.printable import barred
from protocol.core.acts import Act, item_of
from protocol.core.effects import Apply
from protocol.core.events import AnyEvent, TransportConnected
from protocol.core.start_events import EpochOpened
from protocol.record.journal import decode, encode
from protocol.record.ledger import Ledger, ledger_of
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from tests.support.cast import Peer, a_heartbeat, an_alert, ref
from tests.support.world import START, TERMS

DECEIT = "Clear.\n  seen          " + "0" * 64 + "\n\n" + "x" * 90 + " acknowledged\u2028\u202e"
T = translator("en")


def received(*bodies: dict[str, Any]) -> Ledger:
    """Return the ledger of a side that has applied these messages of the peer."""
    peer = Peer("ndmc")
    records, prev = [], "0" * 64
    events: list[AnyEvent] = [EpochOpened(at=START, mono=1, terms=TERMS), TransportConnected(at=START, mono=2)]
    for n, event in enumerate(events, 1):
        effects = [Apply(sender="ndmc", message=peer.says(body)) for body in bodies] if n > 1 else []
        line, prev = encode(n, "eucom-ndmc", "eucom", n, event, tuple(effects), prev)
        records.append(decode(line))
    return ledger_of(records)


def lines_of(ledger: Ledger, seq: int = 1, width: int | None = 80) -> list[str]:
    entry = ledger.entries[Reference("ndmc", 1, seq)]
    return item_lines(entry_page(ledger, entry, T, ("it has expired",), broker_has=True), T, ["Europe/Berlin"], width)


@pytest.mark.parametrize("width", [80, None])
def test_foreign_text_stands_behind_a_bar(width: int | None) -> None:
    area = {"name": DECEIT[:150], "latitude_udeg": -1, "longitude_udeg": 0, "radius_m": 850}
    lines = lines_of(received(an_alert("flash", text={"en": DECEIT, "ru": DECEIT}, area=area)), width=width)
    assert lines[:2] == ["ndmc/1/1  alert: received", "  ! it has expired"]
    for line in lines[2:]:
        assert re.match(r" {16}| {2}\S", line)
        assert len(line) <= 80 or width is None
        assert not re.search("[\x00-\x1f\u2028\u202e]", line)
    assert [line for line in lines if line.startswith("  seen")] == lines[-1:]
    for line in lines:
        assert "000000" not in line or line.startswith((" " * 16 + "| ", "  text, en      | ", "  place         | "))
    assert " " * 16 + "0.000001 S, 0 E, radius 850 m" in lines


def test_an_unknown_kind_is_json_behind_a_bar() -> None:
    body = {"type": "alert: acknowledged", "seen\n  acknowledged": "duty-1", "text": 7}
    lines = lines_of(received(body), width=None)
    assert lines[0] == "ndmc/1/1  message of an unknown kind: received"
    assert lines[2].startswith(
        '  content       | {"type":"alert: acknowledged","seen\\n  acknowledged":"duty-1","text":7}'
    )
    assert len(lines) == 5


def test_each_kind_of_message_is_shown_with_all_of_its_fields() -> None:
    ledger = received(
        a_heartbeat(slot=written(START)),
        an_alert(references=[ref(1, "ndmc")]),
        an_alert(change={"of": ref(2, "ndmc"), "kind": "cancellation"}, text={"en": "All clear."}),
        {"type": "acknowledgement", "of": ref(1), "officer": "duty-1", "decision": "acting", "text": {"en": "Yes."}},
        {
            "type": "refusal",
            "of": ref(1),
            "by": "officer",
            "officer": "duty-2",
            "reason": "expired",
            "referral": "ministers",
        },
        {"type": "heartbeat_answer", "of": ref(1), "language": "ru", "text": "Слышу.", "read_back": ["a", "b", "c"]},
    )
    shown = {seq: "\n".join(lines_of(ledger, seq)) for seq in range(1, 7)}
    assert "  three words   | " in shown[1]
    assert "  slot          29 Nov 2022, " in shown[1]
    assert "  refers to     ndmc/1/1" in shown[2]
    assert "  replaced by   ndmc/1/3" in shown[2]
    assert "  cancelled     29 Nov 2022, " in shown[2]
    assert "ndmc, duty-2 (ndmc/1/3)" in shown[2]
    assert (
        "  changes       cancellation of ndmc/1/2\n                en:\n                | Smoke at the plant."
        in shown[3]
    )
    assert "  decision      acting on it" in shown[4]
    assert "  use instead   ministers" in shown[5]
    assert "  text, ru      | Слышу." in shown[6]
    row = message_row(ledger, ledger.entries[Reference("ndmc", 1, 2)], START)
    assert row["acts"] == [
        {"act": "cancelled", "at": written(START), "party": "ndmc", "officer": "duty-2", "reference": "ndmc/1/3"}
    ]


def test_the_acts_of_a_message_have_what_their_messages_say() -> None:
    act = Act(act="refused", at=written(START), party="ndmc", officer="duty-1", reason="out_of_scope")
    page = ItemPage(
        reference="eucom/1/1",
        kind="alert",
        state="refused",
        body={},
        acts=(ShownAct(act=act, referral="ministers", text={"en": "Use\nthe other line."}),),
        seen="0" * 64,
    )
    lines = item_lines(page, T, ["UTC"], 80)
    assert lines[1:-1] == [
        f"  refused       {T.instant(START, 'UTC')} UTC",
        "                ndmc, duty-1: outside the scope of this line",
        "                referred to ministers",
        "                en:",
        "                | Use",
        "                | the other line.",
    ]


def test_what_was_refused_as_out_of_scope_names_the_other_channels_within_the_width() -> None:
    name = "advisers (National security adviser and intelligence director channels)"
    page = ItemPage(reference="eucom/1/1", kind="alert", state="refused", body={}, channels=("ministers (M)", name))
    assert item_lines(page, T, ["UTC"], 80)[1:] == [
        "  other channels",
        "                ministers (M)",
        "                advisers (National security adviser and intelligence director",
        "                  channels)",
    ]
    assert item_lines(page, T, ["UTC"], None)[-1] == f"                {name}"


def test_a_draft_shows_what_would_be_sent_and_that_nothing_was() -> None:
    body = an_alert("flash", area={"name": "x", "latitude_udeg": 0, "longitude_udeg": 0, "radius_m": 1_500})
    item = item_of("draft/1", body | {"cancellation": {"en": "All clear."}}, ())
    draft = {"draft": "draft/1", "officer": "watch-1", "at": written(START), "item": item.item, "seen": item.seen}
    lines = item_lines(draft_page(draft, T, {}), T, ["UTC"], None)
    assert lines[1] == "  ! nothing was sent yet"
    assert " " * 16 + "0 N, 0 E, radius 1.5 km" in lines
    assert lines[-5:-3] == ["  cancellation, en", " " * 16 + "| All clear."]


def test_long_lines_are_folded_between_words_and_by_the_columns_that_they_take() -> None:
    assert barred("one two three", 9) == ["| one two", "| three"]
    assert barred("плотина", 5) == ["| пло", "| тин", "| а"]
    assert barred("大坝大坝", 6) == ["| 大坝", "| 大坝"]
    assert barred("  x", 3) == ["|  ", "| x"]
    assert barred("a\n\nb") == ["| a", "| ", "| b"]
    assert barred("e\u0301" * 3, 5) == ["| e\u0301e\u0301e\u0301"]
