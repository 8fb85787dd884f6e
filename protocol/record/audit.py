"""Verifies every signature in a journal: the peer's frames, our own frames and the signed heads.

The service gave a verdict on each of the peer's frames when it arrived. Each signed head covers all records before it.
Start-up verifies none of these again; an audit verifies all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.core.events import BatchClosed, FrameReceived
from protocol.core.link_keys import LinkKeys, named
from protocol.core.start_events import EpochOpened
from protocol.errors import EnrolmentError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.record.enrolments import SINCE_RULES, Enrolments
from protocol.record.heads import MissingHeads, signed_head
from protocol.record.journal import HEAD_TYPE, Checkpoint, Record, head_payload
from protocol.record.sealed_frames import own_sealed
from protocol.record.spans import Span, digest_of
from protocol.record.terms_history import TermsHistory
from protocol.record.trusted_files import Judged, TrustedFile, chosen, effective, of_epoch
from protocol.wire.keyring import Keyring
from protocol.wire.refusals import VERIFIED

_EXACT_LENGTHS = 3
"""The first version of the rules under which every signature has the length of an algorithm."""

_ALL_FILES = phrase("(the link file of every epoch and rotation has to be given, once more if its keys came back)")


class Audit:
    """Verifies the signatures of one journal, record by record.

    Keys that were added under an epoch verify nothing before an officer has accepted them (SPEC F5.4), and only
    enrolled officers act (SPEC P1.5). Without link files, signatures are verified under the keys that the journal
    itself enrols. A forger can enrol any keys, so this shows only that the journal is consistent. With the link files
    that the sides agreed to (one for each epoch and each rotation of keys), a signature counts only under their keys.
    For the keys of the watch only the link files count, whatever the journal enrols.

    Attributes:
        sealed_upto: the number of the last record covered by a valid signed head, 0 if there is none.
        vouched: how many of the records taken a valid signed head covers, without a break between them and the head.
        records: how many records were taken.
        watch_without_key: the journal is of the watch, and no link file has had a key to judge its signed heads.
        signatures: number of frames and heads verified.
        judged: what was judged under which link file; empty without link files.
        enrolled: all keys that the journal has enrolled: see `trusted_files.named`.
        beyond: those of them that are in none of the link files that judge them, each with the file's name.
    """

    def __init__(self, trusted: Sequence[TrustedFile] = ()) -> None:
        """Begin with no record, under the link files that are trusted."""
        self.sealed_upto = 0
        self.vouched = 0
        self.records = 0
        self.watch_without_key = False
        self.signatures = 0
        self.judged: list[Judged] = []
        self._judged_by: dict[tuple[str, int], Judged] = {}
        self.enrolled: set[str] = set()
        self.beyond: dict[str, str] = {}
        self._given = tuple(trusted)
        self._trusted: tuple[TrustedFile, ...] = ()
        self._terms = TermsHistory()
        self._enrolments = Enrolments()
        self._ring: Keyring | None = None
        # the keyring that `_digest` is of
        self._digested: Keyring | None = None
        self._digest = b""
        self._file: TrustedFile | None = None
        self._replaced: set[str] = set()
        self._missing = MissingHeads()
        self._watch: TrustedFile | None = None
        self._watch_replaced: set[str] = set()
        self._last = 0
        self._hash = ""
        # the records up to the last break of the chain, and how many of them a head covers
        self._before_break = self._vouched_before = 0
        # the version of the rules that the records are of
        self._rules = 0

    def take(self, record: Record) -> str:
        """Return what is wrong with the signatures, keys or terms in `record`, or an empty string if nothing is."""
        wrong = [self._begin(record)] if not self.records else []
        if record.prev != self._hash:
            self._before_break, self._vouched_before = self.records, self.vouched
        self._hash = record.hash
        self.records += 1
        # what missing records changed is nobody's fault
        known = self._last == record.n - 1 and self._terms.terms is not None
        self._last = record.n
        self._rules = self._rules if record.rules is None else int(record.rules)
        history = self._terms
        terms, agreed, officers = history.terms, history.keys.agreed, history.officers
        wrong.append(self._enrolments.objection(record, history))
        if history.take(record):
            self._ring = None
            if known and isinstance(record.entry, Checkpoint):
                wrong.append(phrase("its state names other terms or keys than the records before it"))
            if (history.terms, history.keys.agreed) != (terms, agreed):
                wrong.append(self._changed(record))
        if known and isinstance(record.entry, Checkpoint) and history.officers != officers:
            wrong.append(phrase("its state names other officers than the records before it"))
        try:
            wrong.append(self._signatures(record))
            wrong.append(self._heads(record))
        except EnrolmentError as error:
            wrong.append(phrase("the enrolled keys can't be used: {error}", error=error))
        return "; ".join(each for each in wrong if each)

    def interrupt(self) -> None:
        """Forget what was in force: records are missing, and the next one taken is a checkpoint."""
        self._terms = TermsHistory()
        self._enrolments = Enrolments()
        self._ring = None

    # --- spans ----------------------------------------------------------------------------------------------------

    @property
    def ring(self) -> Keyring | None:
        """The keys that judge the next record; None before they have judged a record."""
        return self._ring

    def admits(self, span: Span) -> bool:
        """Return whether taking the records of `span`, which come next, would find nothing wrong in them.

        This is certain only under the keys that verified them.
        """
        if self._ring is None or (span.first, span.prev) != (self._last + 1, self._hash):
            return False
        if self._digested is not self._ring:
            self._digested, self._digest = self._ring, digest_of(self._ring)
        return (
            span.keys == self._digest
            and self._enrolments.admits(span, self._terms)
            and self._missing.admits(span, demanded=self._signs(span.side))
        )

    def pass_over(self, span: Span) -> None:
        """Continue behind the records of a span that is admitted."""
        self._last, self._hash = span.last, span.head
        self.records += span.records
        self._enrolments.pass_over(span)
        self._missing.pass_over(span)
        self._count(span.signatures)

    def _signatures(self, record: Record) -> str:
        entry = record.entry
        if isinstance(entry, FrameReceived):
            return self._verdict(entry)
        if isinstance(entry, BatchClosed):
            return self._own_frames(record, entry)
        return ""

    # --- terms and keys -------------------------------------------------------------------------------------------

    def _begin(self, record: Record) -> str:
        self._trusted = tuple(file for file in self._given if file.terms.link == record.link)
        if self._given and not self._trusted:
            names = ", ".join(file.name for file in self._given)
            return phrase("no link file of link {link} was given ({names})", link=record.link, names=names)
        return ""

    def _changed(self, record: Record) -> str:
        """Compare new terms or keys with the link files; return what differs."""
        terms, keys = self._terms.terms, self._terms.keys.agreed
        self.enrolled.update(named(keys, {}))
        if terms is None or not self._trusted:
            return ""
        own = [file for file in self._trusted if file.terms.epoch == terms.epoch]
        if own and isinstance(record.entry, EpochOpened | Checkpoint) and all(file.terms != terms for file in own):
            return phrase(
                "its terms of epoch {epoch} are not those of the link file {name}", epoch=terms.epoch, name=own[0].name
            )
        # the keys of a new epoch follow in a record of their own
        return "" if isinstance(record.entry, EpochOpened) else self._enrols()

    def _enrols(self) -> str:
        """Return which of the journal's keys are not those of the link file in force, or an empty string."""
        file, keys = self._judge(), self._terms.keys.agreed
        if beyond := named(keys, file.keys):
            self.beyond.update(dict.fromkeys(beyond, file.name))
            return phrase(
                "it enrols keys that are not those of the link file {name}: {beyond} {remark}",
                name=file.name,
                beyond=", ".join(beyond),
                remark=_ALL_FILES,
            )
        return ""

    def _judge(self) -> TrustedFile:
        """Return the link file that judges from now on. One that another has replaced judges nothing more."""
        files = [file for file in self._trusted if file.name not in self._replaced]
        file = chosen(files, self._epoch, self._terms.keys.agreed)
        if self._file is not None and self._file is not file:
            self._replaced.add(self._file.name)
        self._file = file
        self._judged(file).not_enrolled = named(file.keys, self._terms.keys.agreed)
        return file

    def _keyring(self) -> Keyring | None:
        """Return the keys in force; None without link files, before the journal has enrolled any.

        Raises EnrolmentError.
        """
        history, keys = self._terms, self._terms.keys
        if self._ring is None and self._trusted:
            file = self._judge()
            # SPEC F5.4: a party whose key was revoked may have none
            judging = LinkKeys(effective(keys.agreed, file), keys.pending).accepted
            self._ring = Keyring(judging, file.terms.policy.suite, complete=False)
        elif self._ring is None and history.terms is not None and keys.agreed:
            self._ring = Keyring(keys.accepted, history.terms.policy.suite, complete=False)
        return self._ring

    def _count(self, signatures: int = 1) -> None:
        """Count signatures that are verified now."""
        self.signatures += signatures
        if self._file is not None and signatures:
            self._judged(self._file).signatures += signatures

    @property
    def _under(self) -> str:
        """The words that name the judging link file."""
        return "" if self._file is None else phrase(" under the link file {name}", name=self._file.name)

    def _judged(self, file: TrustedFile) -> Judged:
        """Return what a link file has judged in the present epoch."""
        key = file.name, self._epoch
        entry = self._judged_by.get(key)
        if entry is None:
            entry = self._judged_by[key] = Judged(link_file=file.name, epoch=self._epoch)
            self.judged.append(entry)
        return entry

    @property
    def _epoch(self) -> int:
        return 0 if self._terms.terms is None else self._terms.terms.epoch

    # --- signatures -----------------------------------------------------------------------------------------------

    def _verdict(self, event: FrameReceived) -> str:
        ring = self._keyring()
        if ring is None:
            return (
                phrase("it says that a frame is verified, before any key is enrolled")
                if event.verdict == VERIFIED
                else ""
            )
        self._count()
        # SPEC F1.1: rules 1 and 2 did not examine the lengths of signatures
        any_length = self._rules < _EXACT_LENGTHS
        verdict = ring.judge(event.channel, event.sender, event.frame, any_length=any_length)
        return (
            ""
            if verdict == event.verdict
            else phrase(
                "the verdict says {verdict}, but the frame is {found}{under}",
                verdict=event.verdict,
                found=verdict,
                under=self._under,
            )
        )

    def _own_frames(self, record: Record, event: BatchClosed) -> str:
        if not event.frames:
            return ""
        ring = self._keyring()
        if ring is None:
            return phrase("it seals frames, before any key is enrolled")
        for index, (payload_type, frame) in enumerate(own_sealed(record, event)):
            self._count()
            try:
                ring.open(record.side, payload_type, frame)
            except RemoteProtocolError as error:
                return phrase(
                    "our own frame {index} does not verify{under}: {error}", index=index, under=self._under, error=error
                )
        return ""

    # --- signed heads ---------------------------------------------------------------------------------------------

    def _heads(self, record: Record) -> str:
        """Return what is wrong with the signed head in `record`, or that one is missing before it."""
        head, watch = signed_head(record.entry), self._is_watch(record.side)
        wrong = [self._missing.take(record, demanded=self._signs(record.side))]
        if head is not None:
            wrong.append(self._watch_head(record, head.encode()) if watch else self._head(record, head.encode()))
        found = "; ".join(each for each in wrong if each)
        return f"{found} {_ALL_FILES}" if watch and found else found

    def _head(self, record: Record, head: bytes) -> str:
        ring = self._keyring()
        if ring is None:
            return phrase("it has a signed head, before any key is enrolled")
        self._count()
        if not _vouches(ring, record, head):
            return phrase("its signed head does not vouch for the records before it{under}", under=self._under)
        self._vouched_for(record)
        return ""

    def _vouched_for(self, record: Record) -> None:
        self.sealed_upto = record.n - 1
        self.vouched = self._vouched_before + self.records - 1 - self._before_break

    def _is_watch(self, side: str) -> bool:
        """Return whether a side is the watch: no party of the link."""
        terms = self._trusted[0].terms if self._trusted else self._terms.terms
        watch = terms is not None and side not in {terms.caller, terms.answering}
        self.watch_without_key = watch and not any(file.watch for file in self._trusted)
        return watch

    def _signs(self, side: str) -> bool:
        """Return whether a side signs its heads often."""
        return self._watch_signs() if self._is_watch(side) else self._party_signs(side)

    def _party_signs(self, side: str) -> bool:
        """Return whether a party signs its heads often: since rules 3, unless its keys wait for an officer."""
        terms, keys = self._terms.terms, self._terms.keys
        return self._enrolments.rules >= SINCE_RULES and terms is not None and keys.satisfy(side, terms.policy.suite)

    def _watch_signs(self) -> bool:
        """Return whether the watch signs its heads: each link file of the epoch has its key, or one has judged them."""
        files = of_epoch(self._trusted, self._epoch) if self._trusted else []
        return bool(files) and (all(file.watch for file in files) or self._watch in files)

    def _watch_head(self, record: Record, head: bytes) -> str:
        """Judge a signed head of the watch under the link files of the epoch. One that another replaced is out."""
        files = of_epoch(self._trusted, self._epoch) if self._trusted else []
        judging = [file for file in files if file.watch and file.name not in self._watch_replaced]
        for file in judging:
            if not _vouches(Keyring({record.side: file.watch}, file.terms.policy.suite), record, head):
                continue
            if self._watch is not None and self._watch is not file:
                self._watch_replaced.add(self._watch.name)
            self._watch = file
            self.signatures += 1
            self._judged(file).signatures += 1
            self._vouched_for(record)
            return ""
        if not judging:
            return ""
        names = ", ".join(file.name for file in judging)
        return phrase(
            "its signed head does not vouch for the records before it under the watch's keys of {names}", names=names
        )


def _vouches(ring: Keyring, record: Record, head: bytes) -> bool:
    """Return whether `head` is signed by the record's side and covers all records before it."""
    claim = head_payload(record.link, record.side, record.n - 1, record.prev)
    try:
        return ring.open(record.side, HEAD_TYPE, head) == claim
    except RemoteProtocolError:
        return False
