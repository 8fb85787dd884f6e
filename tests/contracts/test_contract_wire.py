"""Real frames, bodies and records are valid by the contracts; forged ones are not, as far as a schema can tell."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.wire.envelope import PAYLOAD_TYPES
from tests.contracts.golden_records import records_of
from tests.contracts.validators import committed, fast, faults, validator
from tests.golden import cases

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors"
FRAMES, BODIES, STREAMS = (
    json.loads((VECTORS / f"{name}.json").read_text()) for name in ("frames", "bodies", "streams")
)
PAYLOAD = {kind: f"{channel}-payload.schema.json" for channel, kind in PAYLOAD_TYPES.items()}

# what no schema can say, as docs/contracts/README.md lists it
ORDER_AND_SPACE = {
    "white space at the end",
    "white space inside",
    "payload with white space",
    "payload with a duplicate key",
}
CHARACTERS = {"payload with text in form D", "payload with a character of Unicode 15.0"}
NUMBERS = {"payload with a fraction"}
RUNS = {"a gap inside the run"}
BY_SCHEMA = {"malformed_envelope", "wrong_payload_type", "not_canonical", "malformed_payload"}
"""The reasons of refusal that lie in the shape of a frame."""
BY_CHANNEL = {"a message on the receipts' channel"}
"""Known by the topic: asyncapi.json."""


def data_of(vector: dict[str, Any]) -> bytes:
    data = b64decode(vector["base64"]) if "base64" in vector else vector["text"].encode()
    return data + vector["then"]["text"].encode() * vector["then"]["times"] if "then" in vector else data


def admitted(data: bytes) -> bool:
    """Return whether a reader that knows only the schemas admits a frame."""
    try:
        frame = json.loads(data)
        if faults(validator("frame.schema.json"), frame):
            return False
        payload = json.loads(b64decode(frame["payload"]))
    except ValueError:
        return False
    return not faults(validator(PAYLOAD[frame["payloadType"]]), payload)


@pytest.mark.parametrize("vector", FRAMES["valid"], ids=lambda vector: vector["name"])
def test_a_frame_that_opens_is_valid(vector: dict[str, Any]) -> None:
    assert admitted(data_of(vector))


@pytest.mark.parametrize("vector", FRAMES["refused"], ids=lambda vector: vector["name"])
def test_a_frame_of_another_shape_is_not(vector: dict[str, Any]) -> None:
    if (
        vector["refused"] in BY_SCHEMA
        and vector["name"] not in ORDER_AND_SPACE | CHARACTERS | NUMBERS | RUNS | BY_CHANNEL
    ):
        assert not admitted(data_of(vector))
    elif vector["refused"] != "too_large":
        # stated on the page; if a schema can say it now, it should, and the page is wrong
        try:
            json.loads(data_of(vector))
        except ValueError:
            return
        assert admitted(data_of(vector))


def test_the_frames_of_streams_are_valid() -> None:
    frames = [step["frame"] for stream in STREAMS["messages"] for step in stream["steps"]]
    frames += [each["frame"] for each in STREAMS["receipts"] + STREAMS["times"]]
    assert len(frames) > 50
    assert not [frame for frame in frames if not admitted(frame.encode())]


@pytest.mark.parametrize("vector", BODIES["valid"], ids=lambda vector: vector["name"])
def test_a_body_that_is_admitted_is_valid(vector: dict[str, Any]) -> None:
    assert not faults(validator("body.schema.json"), vector["body"])


@pytest.mark.parametrize("vector", BODIES["refused"], ids=lambda vector: vector["name"])
def test_a_body_that_cannot_be_decoded_is_not(vector: dict[str, Any]) -> None:
    """The other reasons lie in the policy and in other messages."""
    assert bool(faults(validator("body.schema.json"), vector["body"])) == (vector["refused"] == "unsupported")


@pytest.mark.parametrize("end", ["\n", " ", "\u0000"])
def test_a_text_with_something_behind_its_end_is_refused(end: str) -> None:
    payload = json.loads(b64decode(json.loads(data_of(FRAMES["valid"][0]))["payload"]))
    message = payload["messages"][0]
    for holder, field in ((payload, "policy"), (payload, "link"), (message, "prev"), (message, "at")):
        holder[field] += end
        assert faults(validator("message-payload.schema.json"), payload)
        assert not fast("message-payload.schema.json").is_valid(payload)
        holder[field] = holder[field][: -len(end)]
    assert not faults(validator("message-payload.schema.json"), payload)


# --- journals -----------------------------------------------------------------------------------------------------


def records(archive: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a golden case."""
    return (json.loads(line) for line, _ in records_of(archive))


@pytest.mark.parametrize(
    "archive", cases.archives(), ids=lambda path: f"{path.parent.name}/{path.name.partition('.')[0]}"
)
def test_every_record_of_every_golden_journal_is_valid(archive: Path) -> None:
    """Of all versions of the rules: 31,000 records."""
    known = fast("record.schema.json")
    found = [(each["n"], each["event"], known.is_valid(each)) for each in records(archive)]
    assert len(found) > 20
    assert not [each for each in found if not each[-1]]


def a_record(event: str) -> dict[str, Any]:
    """Return a record of the present rules."""
    for archive in reversed(cases.archives()):
        for each in records(archive):
            if each["event"] == event and (event != "BatchClosed" or each["effects"]):
                return each
    raise AssertionError(event)


@pytest.mark.parametrize("event", ["FrameReceived", "BatchClosed", "OfficerRaisedAlert", "Checkpoint"])
def test_a_record_that_was_changed_in_its_shape_is_not_valid(event: str) -> None:
    record = a_record(event)
    known = validator("record.schema.json")
    assert known.is_valid(record)
    changes: list[dict[str, Any]] = [
        {"event": "Invented"},
        {"n": 0},
        {"n": "7"},
        {"batch": 2**53},
        {"link": "EUCOM"},
        {"at": "2022-02-30T00:00:00.000Z"},
        {"at": "2022-11-29T16:00:00Z"},
        {"hash": record["hash"].upper() if record["hash"] != record["hash"].upper() else "x"},
        {"hash": record["hash"] + "\n"},
        {"prev": "0" * 63},
        {"effects": {}},
        {"effects": [{"effect": "Invented"}]},
        {"effects": [{"effect": "Settle", "upto": 1, "head": "0" * 64, "more": 1}]},
        {"note": "a field more"},
    ]
    assert not [each for each in changes if known.is_valid(record | each)]
    for field in committed("record.schema.json")["$defs"][event]["required"]:
        assert not known.is_valid({name: value for name, value in record.items() if name != field}), field


def test_what_a_schema_cannot_say_of_a_record_is_left_to_the_journals_reader() -> None:
    record = a_record("FrameReceived")
    for each in ({"hash": "0" * 64}, {"prev": "f" * 64}, {"n": record["n"] + 1}):
        assert validator("record.schema.json").is_valid(record | each)
