"""Attackers with a party's certificate or keys, a peer of a newer version, a lost journal, and differing policies."""

import base64
import random
import shutil
from collections.abc import Iterator

import msgspec
import pytest

from endpoints.config import link_file
from protocol.wire.instants import parsed, written
from tests.support.impostor import Impostor
from tests.support.station import ALL, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Yield one link; the tests run on it in order, and each starts from the state that the previous one left."""
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def test_duplicates_in_any_order_are_applied_once_and_in_order(station: Station) -> None:
    station.stop("ndmc")
    references = [station.alert() for _ in range(6)]
    station.stop("eucom")
    station.broker.stop()
    station.broker.wipe()
    station.broker.start()
    frames = [
        base64.b64decode(record["frames"][effect["index"]])
        for record in station.records("eucom", "BatchClosed")
        for effect in record["effects"]
        if effect["effect"] == "Seal" and effect["channel"] == "message"
    ]
    assert len(frames) >= 6
    shuffled = [*frames, *frames, *frames[:3]]
    random.Random(5).shuffle(shuffled)
    station.start("ndmc", "watch") if "watch" not in station.processes else station.start("ndmc")

    Impostor(station).say([("message", frame) for frame in shuffled])

    station.each(references, lambda reference: station.alert_state("ndmc", reference) is not None)
    assert station.applied("ndmc") == [("eucom", seq) for seq in range(1, 7)]
    assert "bad_frames" not in {alarm["code"] for alarm in station.alarms("ndmc").values()}
    station.start("eucom")
    station.settled()
    assert station.applied("ndmc") == [("eucom", seq) for seq in range(1, 7)]


def test_unsigned_frames_raise_one_alarm_and_block_nothing(station: Station) -> None:
    station.stop("eucom")
    other = Impostor(station, "ndmc").run(Impostor(station, "ndmc", head="0" * 64).message({"type": "heartbeat"}))
    garbage = [b"", b"{}", b"\xff" * 2_000, b"[" * 70_000, other, other.replace(b"ed25519", b"ed25518")]
    Impostor(station).say([(channel, frame) for frame in garbage * 4 for channel in ("message", "receipt")])

    for name in ("ndmc", "watch"):
        alarm = station.alarm(name, "bad_frames/eucom")
        assert alarm["severity"] == "major"
    station.until(lambda: len(station.records("ndmc", "FrameReceived")) >= 20)
    journaled = [record["verdict"] for record in station.records("ndmc", "FrameReceived")]
    # frames beyond the rate limit are counted, not journaled
    assert max(journaled.count(reason) for reason in set(journaled) - {"verified"}) <= 10
    station.start("eucom")
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) is not None)
    # the rate limit uses real minutes, so the remaining count is journaled at the clean stop
    station.stop("ndmc")
    assert {record["reason"] for record in station.records("ndmc", "FramesSuppressed")} >= {"malformed_envelope"}
    station.start("ndmc")

    station.forward(700, rate=400)
    for name in ("ndmc", "watch"):
        station.cleared(name, "bad_frames")


def test_a_second_holder_of_the_identity_raises_an_alarm(station: Station) -> None:
    impostor = Impostor(station)

    def taken_over() -> bool:
        impostor.say()
        station.connected("eucom")
        return any(alarm["code"] == "identity_in_use" for alarm in station.alarms("eucom").values())

    station.until(taken_over, within_s=100)

    station.forward(700, rate=400)
    station.cleared("eucom", "identity_in_use")
    station.connected("eucom")


def test_messages_of_a_newer_version_are_refused_and_do_not_block_the_stream(station: Station) -> None:
    ours = station.snapshot("eucom")["ours"]
    station.stop("eucom")
    newer = Impostor(station, last=ours["last"], head=ours["head"])
    slot = written(parsed("2022-11-29T16:07:00.000Z"))
    heartbeat = {
        "type": "heartbeat",
        "status": "exercise",
        "language": "ru",
        "text": "Говорит Висбаден.",
        "challenge": ["один", "два", "три"],
    }

    newer.say(
        [
            ("message", newer.run(newer.message({"type": "hologram", "shape": "cube"}), newer.message({"no": "type"}))),
            ("message", newer.run(newer.message({**heartbeat, "colour": "red"}))),
            ("message", newer.run(newer.message({**heartbeat, "slot": slot}, ahead_s=300))),
        ]
    )

    station.until(lambda: station.snapshot("ndmc")["theirs"]["eucom"]["last"] == newer.last)
    refused = [each["refused"] for each in station.effects("ndmc", "Apply") if "refused" in each]
    assert refused == ["unsupported", "unsupported", "unsupported"]
    answers = [each["message"]["body"] for each in station.effects("ndmc", "Queue")]
    assert [(body["by"], body["reason"]) for body in answers if body["type"] == "refusal"] == [
        ("service", "unsupported")
    ] * 3
    for name in ("ndmc", "watch"):
        station.alarm(name, "schedule_disagreement")
        station.alarm(name, "clock_skew/eucom/ahead")


def test_two_versions_of_one_message_stop_that_direction(station: Station) -> None:
    theirs = station.snapshot("ndmc")["theirs"]["eucom"]
    liar = Impostor(station, last=theirs["last"] - 1, head="0" * 64)

    liar.say([("message", liar.run(liar.message({"type": "hologram", "shape": "sphere"})))])

    for name in ("ndmc", "watch"):
        assert station.alarm(name, "equivocation/eucom")["severity"] == "critical"
    assert station.snapshot("ndmc")["theirs"]["eucom"]["stopped"] == "equivocation"
    # both frames are in the journal, as evidence
    assert len(station.records("ndmc", "FrameReceived")) >= 2


def test_an_endpoint_detects_messages_sent_in_its_name(station: Station) -> None:
    # ndmc has receipted messages that are not in eucom's own journal
    station.start("eucom")

    station.alarm("eucom", "fork")
    assert station.status("eucom")["state"] == "alarm"


def test_a_new_epoch_clears_fork_and_equivocation(station: Station) -> None:
    station.stop("ndmc")
    epoch(station, 2)
    for name in ("eucom", "watch"):
        station.stop(name)
    station.start(*ALL)

    for name in ALL:
        station.cleared(name, "fork")
        station.cleared(name, "equivocation")
    reference = station.alert()
    assert reference == "eucom/2/1"
    station.until(lambda: station.alert_state("ndmc", reference) == "received")
    station.settled()


def test_a_lost_journal_stops_that_direction_until_a_new_epoch(station: Station) -> None:
    station.stop("ndmc")
    shutil.rmtree(station.journal("ndmc"))
    station.start("ndmc")
    station.alert()

    station.alarm("ndmc", "journal_behind")

    station.alert()
    for name in ALL:
        station.stop(name)
    epoch(station, 3)
    station.start(*ALL)
    station.cleared("ndmc", "journal_behind")
    alarm = station.alarm("eucom", "undelivered")
    assert alarm["subject"] == "epoch 2"
    assert [each["body"]["type"] for each in station.snapshot("eucom")["undelivered"]] == ["alert", "alert"]
    station.act("eucom", "watch-1", "acknowledge-alarm", code="undelivered", subject="epoch 2")
    station.until(lambda: not any(each["code"] == "undelivered" for each in station.alarms("eucom").values()))
    assert station.alert() == "eucom/3/1"
    station.settled()


def test_a_policy_mismatch_raises_an_alarm_on_both_sides(station: Station) -> None:
    station.stop("ndmc")
    own = station.link_file().with_name("other.toml")
    content = link_file.load(station.link_file())
    policy = msgspec.structs.replace(content.terms.policy, grace_s=901)
    terms = msgspec.structs.replace(content.terms, policy=policy, epoch=4)
    link_file.save(msgspec.structs.replace(content, terms=terms), own)
    configuration = station.config("ndmc")
    before = configuration.read_text()
    configuration.write_text(before.replace("../link.toml", "../other.toml"))
    station.start("ndmc")
    station.alert()

    for name, other in (("eucom", "ndmc"), ("ndmc", "eucom")):
        assert station.alarm(name, "policy_mismatch")["subject"] == other

    station.stop("ndmc")
    # an endpoint never returns to an earlier epoch
    configuration.write_text(before)
    assert station.launch("ndmc").wait() == 2
    station.processes.pop("ndmc")
    configuration.write_text(before.replace("../link.toml", "../other.toml"))
    for name in ("eucom", "watch"):
        station.stop(name)
    shutil.copy(own, station.link_file())
    station.start(*ALL)
    for name in ALL:
        station.cleared(name, "policy_mismatch")
    station.alert()
    station.settled()


def epoch(station: Station, number: int) -> None:
    """Write the next epoch to the link file, which the stopped processes share."""
    content = link_file.load(station.link_file())
    content = msgspec.structs.replace(content, terms=msgspec.structs.replace(content.terms, epoch=number))
    link_file.save(content, station.link_file())
    station.files = (content,)
