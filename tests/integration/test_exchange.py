"""Officers' requests across two real endpoints, a real broker and the watch."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import ALL, TEXT, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def received(station: Station, reference: str) -> None:
    station.until(lambda: station.alert_state("ndmc", reference) is not None)


def test_an_alert_is_delivered_and_acknowledged(station: Station) -> None:
    reference = station.alert()
    received(station, reference)
    assert not station.status("eucom")["alarms"]

    station.act("ndmc", "duty-1", "acknowledge", of=reference, decision="acting", text={"ru": "Принято."})

    station.each(ALL, lambda name: station.alert_state(name, reference) == "acting")
    alert = next(each for each in station.snapshot("watch")["alerts"] if each["reference"] == reference)
    assert alert["reply"]["officer"] == "duty-1"
    assert alert["alert"]["released_by"] == ["watch-1"]


def test_a_held_alert_needs_another_officer_with_their_own_credential(station: Station) -> None:
    draft = station.alert(precedence="flash")
    number = int(draft.removeprefix("draft/"))

    with pytest.raises(RequestRefused) as same:
        station.act("eucom", "watch-1", "release", draft=number)
    assert same.value.code == "four_eyes"
    for officer, credential in (
        ("watch-2", station.credential("eucom", "watch-1")),
        ("duty-1", station.credential("ndmc", "duty-1")),
    ):
        with pytest.raises(RequestRefused) as wrong:
            station.act("eucom", officer, "release", draft=number, credential=credential)
        assert wrong.value.code == "not_authorised"
    assert [each["draft"] for each in station.snapshot("eucom")["drafts"]] == [draft]

    reference = station.act("eucom", "watch-2", "release", draft=number)
    received(station, reference)
    with pytest.raises(RequestRefused) as gone:
        station.act("eucom", "watch-2", "release", draft=number)
    assert (gone.value.code, gone.value.acts and gone.value.acts[0]["officer"]) == ("already_released", "watch-2")


def test_a_repeated_request_returns_the_same_reference_and_sends_nothing_again(station: Station) -> None:
    first = station.alert(request="the-same-request")
    before = station.snapshot("eucom")["ours"]["last"]

    assert station.alert(request="the-same-request") == first
    assert station.alert(request="the-same-request", text={"en": "Another text."}) == first
    assert station.snapshot("eucom")["ours"]["last"] == before


def test_a_refusal_may_refer_to_another_channel(station: Station) -> None:
    reference = station.alert("ndmc")
    station.until(lambda: station.alert_state("eucom", reference) is not None)

    with pytest.raises(RequestRefused, match="channel"):
        station.act("eucom", "watch-1", "refuse", of=reference, reason="out_of_scope", referral="nobody")
    station.act("eucom", "watch-1", "refuse", of=reference, reason="out_of_scope", referral="ministers")

    station.until(lambda: station.alert_state("ndmc", reference) == "refused")
    reply = next(each for each in station.snapshot("ndmc")["alerts"] if each["reference"] == reference)["reply"]
    assert (reply["by"], reply["reason"], reply["referral"]) == ("officer", "out_of_scope", "ministers")


def test_an_alert_and_a_draft_can_be_cancelled(station: Station) -> None:
    reference = station.alert(cancellation={"en": "Take it back.", "ru": "Отзываем."})
    received(station, reference)

    cancellation = station.act("eucom", "watch-2", "cancel", of=reference)

    station.until(lambda: station.alert_state("ndmc", reference) == "cancelled")
    shown = next(each for each in station.snapshot("ndmc")["alerts"] if each["reference"] == cancellation)
    assert shown["alert"]["change"] == {"of": _reference(reference), "kind": "cancellation"}
    assert shown["alert"]["text"]["en"] == "Take it back."
    draft = station.alert(precedence="immediate")
    assert station.act("eucom", "watch-1", "cancel", draft=int(draft.removeprefix("draft/"))) == draft
    assert station.snapshot("eucom")["drafts"] == []


def test_a_line_test_is_answered_only_with_its_words(station: Station) -> None:
    reference = station.client("eucom").act("test", {})
    station.until(lambda: any(each["reference"] == reference for each in station.snapshot("ndmc")["tests"]))
    test = next(each for each in station.snapshot("ndmc")["tests"] if each["reference"] == reference)
    words = test["heartbeat"]["challenge"]
    assert station.status("ndmc")["state"] == "late"

    with pytest.raises(RequestRefused) as wrong:
        station.act("ndmc", "duty-2", "answer", of=reference, words=words[::-1])
    assert wrong.value.code == "wrong_words"
    station.act("ndmc", "duty-2", "answer", of=reference, words=words)

    station.each(ALL, lambda name: bool(station.status(name)["last_test"]["state"] == "answered"))
    station.each(ALL, lambda name: bool(station.status(name)["state"] == "fine"))


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"category": "airspace_operation"}, "out_of_scope"),
        ({"status": "actual"}, "not_permitted"),
        ({"text": {"de": "Deutsch."}}, "unintelligible"),
        ({"event_at": "2022-13-01T00:00:00.000Z"}, "wrong_instant"),
        ({"references": ["eucom/1/999"]}, "unknown_reference"),
        ({"references": ["eucom"]}, "unknown_reference"),
        ({"changes": "eucom/1/999", "change_kind": "update"}, "unknown_reference"),
        ({"changes": "eucom/1/1"}, "wrong_change"),
        ({"text": {"en": "a\u0007b"}}, "not_writable"),
        ({"text": {"en": "a \U0001fae8"}}, "not_writable"),
        ({"text": {}}, "bad_request"),
        ({"text": TEXT, "unknown": 1}, "bad_request"),
        ({"precedence": "at once"}, "bad_request"),
        ({"expires_in_s": 0}, "bad_request"),
        ({"request": "x"}, "bad_request"),
    ],
)
def test_an_inadmissible_alert_is_refused_and_changes_nothing(station: Station, ask: dict[str, Any], code: str) -> None:
    before = station.snapshot("eucom")["ours"]["last"]

    with pytest.raises(RequestRefused) as refused:
        station.alert(**ask)

    assert refused.value.code == code
    assert station.snapshot("eucom")["ours"]["last"] == before


def test_delivery_steps_are_reported_in_order(station: Station) -> None:
    reference = station.alert()
    with closing(station.client("eucom").follow(f"progress/{reference}", 20)) as ladders:
        seen = [next(ladders)["steps"]]
        while seen[-1][-1] != "received":
            seen.append(next(ladders)["steps"])
        station.act("ndmc", "duty-1", "acknowledge", of=reference, decision="understood")
        last = list(ladders)[-1]

    assert last["steps"] == ["journaled", "broker", "received", "acknowledged"]
    assert last["reply"]["decision"] == "understood"
    assert all(last["steps"][: len(each)] == each for each in seen)


@pytest.mark.parametrize("reference", ["eucom/1/999", "ndmc/1/1", "eucom/2/1", "draft/99", "draft/x", "nonsense"])
def test_progress_of_an_unknown_reference_is_refused(station: Station, reference: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        list(station.client("eucom").follow(f"progress/{reference}", 5))
    assert refused.value.code == "unknown_reference"


def test_progress_of_a_draft_continues_with_the_released_alert(station: Station) -> None:
    draft = station.alert(precedence="flash")
    with closing(station.client("eucom").follow(f"progress/{draft}", 20)) as ladders:
        assert next(ladders) == {"reference": draft, "steps": ["held"]}
        reference = station.act("eucom", "watch-2", "release", draft=int(draft.removeprefix("draft/")))
        later = next(each for each in ladders if each["steps"][-1] == "received")

    assert later["reference"] == reference


def test_all_three_journals_have_the_same_messages(station: Station) -> None:
    station.settled()
    ours = [message["message"] for message in station.effects("eucom", "Queue")]
    applied = [each["message"] for each in station.effects("ndmc", "Apply")]
    station.until(
        lambda: len([each for each in station.effects("watch", "Apply") if each["sender"] == "eucom"]) == len(ours)
    )
    watched = [each["message"] for each in station.effects("watch", "Apply") if each["sender"] == "eucom"]

    assert ours == applied == watched
    assert [message["seq"] for message in ours] == list(range(1, len(ours) + 1))


def test_standard_output_is_the_journal(station: Station) -> None:
    station.settled()
    station.each(ALL, lambda name: len(printed(station, name)) >= len(station.records(name)))
    for name in ALL:
        records = station.records(name)
        assert printed(station, name)[: len(records)] == records[: len(printed(station, name))]


def printed(station: Station, name: str) -> list[dict[str, object]]:
    lines = [msgspec.json.decode(line) for line in station.output(name).splitlines() if line]
    return sorted((line for line in lines if "n" in line), key=lambda line: line["n"])


def _reference(text: str) -> dict[str, object]:
    sender, epoch, seq = text.split("/")
    return {"sender": sender, "epoch": int(epoch), "seq": int(seq)}
