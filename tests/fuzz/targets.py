"""Fuzz targets: one function for each parser of untrusted bytes; each must accept any bytes.

A target returns if the bytes are refused with the documented error, or if they are read and the result satisfies its
invariants. Any other exception is a bug. `test_fuzz.py` runs the targets on the corpus and on mutations of it, `run.py`
under a coverage-guided fuzzer.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

from endpoints.clocks import slots
from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config import link_file, settings, side_file
from endpoints.control.request_body import decode_request
from endpoints.control.requests import ACTIONS
from endpoints.errors import UserError
from endpoints.journal.archived_segment import pack, unpacked
from endpoints.journal.reader import JournalReader
from endpoints.mqtt.events import PresenceChanged
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.topics import PRESENT, Topic
from endpoints.runtime.ports import Now
from endpoints.texts.printable import printable
from protocol.errors import EnrolmentError, JournalError, LocalProtocolError, RemoteProtocolError
from protocol.record.audit import Audit
from protocol.record.evidence import Evidence
from protocol.record.journal import decode, encode
from protocol.record.recovery import recover
from protocol.record.replay import Replay
from protocol.wire import canonical, envelope, payloads
from protocol.wire.canonical import CanonicalError
from protocol.wire.digests import policy_digest
from protocol.wire.keyring import Keyring
from protocol.wire.messages import FRAME_MAX_BYTES
from protocol.wire.refusals import VERIFIED, FrameRefusal
from scenario import files
from tests.fuzz import rewritten
from tests.fuzz.ends import FIRST, SIDE, End
from tests.support.journal_samples import NOON
from tests.vectors.terms import party_keys

Target = Callable[[bytes], None]
KEYRING = Keyring(party_keys("ed25519"), "ed25519")
DAY_MS = 86_400_000
REFUSALS = {str(reason) for reason in FrameRefusal} | {VERIFIED}


# --- the wire -----------------------------------------------------------------------------------------------------


def frame(data: bytes) -> None:
    """A frame from the broker: an envelope and the verdict on its signatures."""
    for channel in ("message", "receipt"):
        verdict = KEYRING.judge(channel, "ndmc", data)
        assert verdict in REFUSALS
        if verdict == VERIFIED:
            assert envelope.parse(data).payload_type == envelope.PAYLOAD_TYPES[channel]
    try:
        opened = envelope.parse(data)
    except RemoteProtocolError:
        return
    assert len(data) <= FRAME_MAX_BYTES
    signatures = [(each.keyid, each.signature) for each in opened.signatures]
    assert envelope.seal(opened.payload_type, opened.payload, signatures) == data


def payload(data: bytes) -> None:
    """The payload of a verified frame, and the bodies of its messages."""
    for read in (payloads.read_message_payload, payloads.read_receipt_payload):
        try:
            value = read(data)
        except RemoteProtocolError:
            continue
        assert canonical.encode(value) == data
        for message in getattr(value, "messages", ()):
            try:
                payloads.read_body(message.body)
            except RemoteProtocolError:
                continue


def canonical_bytes(data: bytes) -> None:
    """Canonical JSON."""
    try:
        value = canonical.decode(data)
    except CanonicalError:
        return
    assert canonical.encode(value) == data
    assert len(canonical.digest(value)) == 64


def peer(data: bytes) -> None:
    """Validly signed frames of a malicious peer, handled by a core."""
    end = End.resumed()
    for signed in rewritten.frames(data):
        end.receive(*signed)
    end.pass_until_due()
    end.check()


def topic(data: bytes) -> None:
    """An MQTT topic."""
    text = data.decode("utf-8", "replace")
    try:
        read = Topic.parse(text)
    except ValueError:
        return
    assert str(read) == text


def presence(data: bytes) -> None:
    """Payloads of the presence topic, one per line."""
    reported: list[PresenceChanged] = []
    watched = Presence([("eucom-ndmc", "ndmc")], 30, reported.append)
    for second, word in enumerate(data.split(b"\n")):
        watched.hear("eucom-ndmc", "ndmc", word, float(second))
        assert reported[-1].present == (word == PRESENT)


# --- the journal --------------------------------------------------------------------------------------------------


def journal_line(data: bytes) -> None:
    """One line of a journal, unchanged and with a valid hash."""
    for line in (data, rewritten.hashed(data)):
        try:
            record = decode(line)
        except JournalError:
            continue
        fields = (record.n, record.link, record.side, record.batch, record.entry, record.effects, record.prev)
        assert encode(*fields) == (line, record.hash)


def journal_segment(data: bytes) -> None:
    """The last segment of a journal, recovered at start-up."""
    try:
        found = recover(data, FIRST, "eucom-ndmc", SIDE)
    except JournalError:
        return
    assert found.records
    assert data[: found.keep].count(b"\n") == len(found.records)
    assert recover(data[: found.keep], FIRST, "eucom-ndmc", SIDE).records == found.records


def archived_segment(data: bytes) -> None:
    """An archived segment, unpacked as every reader does it."""
    try:
        with unpacked(BytesIO(data), "archive", max_bytes=1 << 20) as content:
            found = content.read()
    except UserError as error:
        _one_line(error)
        return
    assert len(found) <= 1 << 20
    again = BytesIO()
    pack([found], again)
    with unpacked(BytesIO(again.getvalue()), "archive") as content:
        assert content.read() == found


def collected_log(data: bytes) -> None:
    """A collected log, read as `log verify` does."""
    reader = JournalReader("-", stdin=BytesIO(data))
    audit = Audit()
    try:
        for record in reader.records():
            audit.take(record)
    except UserError as error:
        _one_line(error)
        return
    for problem in reader.verification.problems:
        assert "\n" not in problem.reason


def rewritten_journal(data: bytes) -> None:
    """A forged journal with valid hashes; audit, replay and display must cope with it."""
    reader = JournalReader("-", stdin=BytesIO(rewritten.journal(data)))
    replay, audit, evidence = Replay(), Audit(), Evidence()
    try:
        for record in reader.whole_records():
            audit.take(record)
            replay.take(record)
            with suppress(JournalError):
                evidence.take(record)
            rewritten.told(record)
    except UserError as error:
        _one_line(error)
        return


# --- files --------------------------------------------------------------------------------------------------------


@cache
def _folder() -> Path:
    """Return a folder for this process, with the files that configurations refer to."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder)
    corpus = Path(__file__).parent / "corpus" / "link_file"
    (folder / "link.toml").write_bytes((corpus / "link.toml").read_bytes())
    for name in ("ca.crt", "client.crt", "client.key"):
        (folder / name).touch(0o600)
    return folder


def _file(data: bytes) -> Path:
    path = _folder() / "read.toml"
    if not path.exists():
        path.touch(0o600)
    path.write_bytes(data)
    return path


def _one_line(error: UserError) -> None:
    """Fail unless an error can be printed, whatever it quotes."""
    printable(str(error)).encode()


def link(data: bytes) -> None:
    """A link file, whose keys are enrolled and whose slots are planned."""
    try:
        content = link_file.load(_file(data))
    except UserError as error:
        _one_line(error)
        return
    assert link_file.load(_file(link_file.dump(content))) == content
    try:
        Keyring(content.keys, content.terms.policy.suite)
    except EnrolmentError as error:
        str(error).encode()
    policy = content.terms.policy
    policy_digest(content.terms)
    slots.plan(policy.slots, policy.zone, NOON, NOON + 2 * DAY_MS)


def side(data: bytes) -> None:
    """The side file that one side sends to the other."""
    try:
        name, party = side_file.load(_file(data))
    except UserError as error:
        _one_line(error)
        return
    assert side_file.load(_file(side_file.dump(name, party))) == (name, party)


def configuration(data: bytes) -> None:
    """`endpoint.toml` and `watch.toml`."""
    try:
        settings.load(_file(data), {})
    except UserError as error:
        _one_line(error)


def scenario(data: bytes) -> None:
    """A scenario file."""
    try:
        read = files.decode(data, "scenario")
    except UserError as error:
        _one_line(error)
        return
    terms = read.terms()
    assert {party.id for party in read.parties} == {terms.caller, terms.answering}


def exercise_table(data: bytes) -> None:
    """The table of an exercise clock."""
    try:
        table = ExerciseTable.read(_file(data))
    except UserError as error:
        _one_line(error)
        return
    for real in (0, 1, 1 << 40):
        instant = table.exercise_at(real)
        found = table.real_at(instant)
        assert found is None or table.exercise_at(found) >= instant


# --- the control socket -------------------------------------------------------------------------------------------


def control(data: bytes) -> None:
    """A request at the control socket, its action on the first line and its body after it, handled by a core."""
    name, _, body = data.partition(b"\n")
    kind = ACTIONS.get(name.decode("utf-8", "replace"))
    if kind is None:
        return
    end = End.resumed()
    try:
        ask = decode_request(body, kind)
        event = ask.event(Now(end.at, end.mono, 0))
        end.request(event)
    except LocalProtocolError as error:
        # the text that the socket answers with
        error.detail.encode()
        return
    end.check()


TARGETS: dict[str, Target] = {
    "frame": frame,
    "payload": payload,
    "canonical": canonical_bytes,
    "peer": peer,
    "topic": topic,
    "presence": presence,
    "journal_line": journal_line,
    "journal_segment": journal_segment,
    "archived_segment": archived_segment,
    "collected_log": collected_log,
    "rewritten_journal": rewritten_journal,
    "link_file": link,
    "side_file": side,
    "configuration": configuration,
    "scenario": scenario,
    "exercise_table": exercise_table,
    "control": control,
}
