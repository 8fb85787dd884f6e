"""What the attacks on the record share: a folder with honest journals and link files, and what a forger writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs, to_builtins

from endpoints.config import link_file as link_files
from endpoints.config.link_file import LinkFile
from endpoints.keys.signer import Signer
from protocol.core.events import FrameReceived
from protocol.core.link import Link
from protocol.core.link_keys import named
from protocol.core.observer import Observer
from protocol.core.start_events import KeysEnrolled
from protocol.core.stream import InboxState
from protocol.record.journal import Entry, Record
from protocol.wire import canonical
from protocol.wire.digests import policy_digest
from protocol.wire.instants import written
from protocol.wire.messages import MESSAGE_TYPE, RECEIPT_TYPE, Alert, Message, MessagePayload, ReceiptPayload
from protocol.wire.policy import EnrolledKey, Terms
from protocol.wire.refusals import VERIFIED
from tests.attacks.forge import Edit, forge, records, signer_of, write
from tests.golden.cases import Run
from tests.golden.continuing import deconflict
from tests.support.exchange import TEXT, link_file
from tests.support.small_day import a_day

ROGUE = Signer({"rogue": Ed25519PrivateKey.from_private_bytes(bytes([77]) * 32)})
LINK_FILE = ("--link-file", "link.toml")


class Scene:
    """A folder with `link.toml` and `journal/SIDE`; forged journals go to `forged/SIDE`."""

    def __init__(self, folder: Path, file: LinkFile | None = None) -> None:
        self.folder = folder
        self.file = file or link_file()
        link_files.save(self.file, folder / "link.toml")

    @classmethod
    def of_a_day(cls, folder: Path, *, segment_bytes: int = 1 << 20) -> Scene:
        """Return the scene of a day: a line test, an alert acknowledged, one in the other direction, a clean stop."""
        scene = cls(folder)
        a_day(folder / "journal", segment_bytes=segment_bytes)
        return scene

    def save(self, name: str, file: LinkFile) -> str:
        """Save another link file and return its name."""
        link_files.save(file, self.folder / name)
        return name

    def records(self, side: str) -> list[Record]:
        """Return the records of a side's honest journal."""
        return records(self.folder / "journal" / side)

    def forged(self, side: str, edit: Edit, signer: Signer | None = None) -> str:
        """Forge a side's journal and return its name."""
        made = forge(self.records(side), signer or signer_of(side), edit)
        write(made, self.folder / "forged" / side)
        return f"forged/{side}"

    def verify(self, journal: str, *words: str) -> Run:
        """Run `log verify` with the link file, or with `words` in its place."""
        return deconflict(self.folder, ["log", "verify", journal, *(words or LINK_FILE), "--json"])

    def reconcile(self, *words: str) -> Run:
        """Run `reconcile` with the link file."""
        return deconflict(self.folder, ["reconcile", *words, *LINK_FILE, "--json"])


# --- edits --------------------------------------------------------------------------------------------------------


def moved(by_ms: int, where: Callable[[Record], bool]) -> Edit:
    """Return an edit that moves the wall-clock time of some records."""

    def edit(record: Record, core: Any) -> Iterable[Entry]:
        del core
        if where(record):
            return (structs.replace(record.entry, at=record.entry.at + by_ms),)
        return (record.entry,)

    return edit


def without(where: Callable[[Record], bool]) -> Edit:
    """Return an edit that leaves some records out."""
    return lambda record, _core: () if where(record) else (record.entry,)


def inserted(before: int, make: Callable[[Record, Any], Iterator[Entry]]) -> Edit:
    """Return an edit that inserts entries before record `before`; each is made after the one before it was applied."""

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n == before:
            yield from make(record, core)
        yield record.entry

    return edit


def last(journal: Iterable[Record], kind: type[Entry]) -> Record:
    """Return the last record of a kind."""
    return [record for record in journal if isinstance(record.entry, kind)][-1]


def end_of_batch(journal: list[Record], record: Record) -> int:
    """Return the number of the record that ends the batch of `record`."""
    return next(each.n for each in journal if each.n >= record.n and each.ends_batch)


# --- what a forger signs ------------------------------------------------------------------------------------------


def invented(core: Link | Observer, sender: str, signer: Signer, at: int, text: str = "Invented") -> bytes:
    """Return a frame with an alert that `sender` never raised, and that a core takes as its next message."""
    stream = _stream(core, sender)
    message = Message(seq=stream.upto + 1, prev=stream.head, at=written(at), body=alert(at, text))
    terms = core.terms
    assert terms is not None
    return message_frame(terms, sender, signer, message)


def message_frame(terms: Terms, sender: str, signer: Signer, *messages: Message) -> bytes:
    """Return a frame with messages of `sender`."""
    payload = MessagePayload(
        link=terms.link,
        epoch=terms.epoch,
        sender=sender,
        recipient=_other(terms, sender),
        policy=policy_digest(terms),
        floor=0,
        messages=messages,
    )
    return signer.seal(MESSAGE_TYPE, canonical.encode(payload))


def receipt_frame(terms: Terms, sender: str, signer: Signer, upto: int, head: str, at: int) -> bytes:
    """Return a frame with a receipt of `sender`."""
    payload = ReceiptPayload(
        link=terms.link,
        epoch=terms.epoch,
        sender=sender,
        recipient=_other(terms, sender),
        policy=policy_digest(terms),
        upto=upto,
        head=head,
        at=written(at),
    )
    return signer.seal(RECEIPT_TYPE, canonical.encode(payload))


def alert(at: int, text: str) -> dict[str, Any]:
    """Return the body of an alert."""
    body: dict[str, Any] = to_builtins(
        Alert(
            status="exercise",
            category="critical_infrastructure",
            precedence="routine",
            event_at=written(at),
            expires_at=written(at + 7_200_000),
            text=TEXT | {"en": text},
            released_by=("duty-1",),
        )
    )
    return body


def arrives(record: Record, sender: str, frame: bytes, verdict: str = VERIFIED) -> FrameReceived:
    """Return the arrival of a message frame at the time of a record."""
    entry = record.entry
    return FrameReceived(at=entry.at, mono=entry.mono, channel="message", sender=sender, frame=frame, verdict=verdict)


def enrols(record: Record, keys: dict[str, tuple[EnrolledKey, ...]]) -> KeysEnrolled:
    """Return the enrolment of keys at the time of a record."""
    return KeysEnrolled(at=record.entry.at, mono=record.entry.mono, keys=keys)


def with_keys(file: LinkFile, **keys: tuple[EnrolledKey, ...]) -> LinkFile:
    """Return a link file with other keys for some parties."""
    parties = {name: structs.replace(party, keys=keys.get(name, party.keys)) for name, party in file.parties.items()}
    return structs.replace(file, parties=parties)


def name_of(party: str, key: EnrolledKey) -> str:
    """Return how findings name a key."""
    (name,) = named({party: [key]}, {})
    assert name.startswith(f"{party}/{key.id} (")
    return name


def _stream(core: Link | Observer, sender: str) -> InboxState:
    if isinstance(core, Observer):
        assert core.state.epoch is not None
        return core.state.epoch.streams[sender]
    assert core.state.epoch is not None
    return core.state.epoch.inbox


def _other(terms: Terms, sender: str) -> str:
    return terms.answering if sender == terms.caller else terms.caller
