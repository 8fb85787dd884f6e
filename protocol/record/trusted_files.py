"""Link files that an auditor trusts, and the choice of the one whose keys judge a part of a journal.

One file is given for each epoch and each rotation of keys. The files of an epoch judge that epoch's records. An epoch
without a file of its own is judged under the file of the next later epoch, or of the last one. So a key that was
removed between two epochs verifies nothing after its removal.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from protocol.core.link_keys import Keys, named
from protocol.wire.envelope import SUITE_ALGORITHMS
from protocol.wire.policy import EnrolledKey, Terms


class TrustedFile(Struct, frozen=True):
    """A link file as the auditor holds it.

    Attributes:
        name: its name, for findings.
        terms: its terms.
        keys: the keys of each party.
        watch: the keys of the watch, none if it enrols none.
    """

    name: str
    terms: Terms
    keys: dict[str, tuple[EnrolledKey, ...]]
    watch: tuple[EnrolledKey, ...] = ()


class Judged(Struct, kw_only=True):
    """The signatures of one epoch of a journal that were judged under one link file.

    Attributes:
        link_file: the file's name.
        epoch: the epoch of the journal's records.
        signatures: how many frames and signed heads.
        not_enrolled: the file's keys that the journal did not enrol: see `named`.
    """

    link_file: str
    epoch: int
    signatures: int = 0
    not_enrolled: tuple[str, ...] = ()


def chosen(files: Iterable[TrustedFile], epoch: int, keys: Keys) -> TrustedFile:
    """Return the file, of at least one, that judges records of `epoch` while a journal enrols `keys`.

    Of several files of one epoch it is the one that differs least from the enrolled keys.
    """
    fitting = of_epoch(files, epoch)
    return min(fitting, key=lambda file: len(named(keys, file.keys)) + len(named(file.keys, keys)))


def of_epoch(files: Iterable[TrustedFile], epoch: int) -> list[TrustedFile]:
    """Return the files, of at least one, that may judge records of `epoch`."""
    listed = list(files)
    epochs = {file.terms.epoch for file in listed}
    judging = min((each for each in epochs if each >= epoch), default=max(epochs))
    return [file for file in listed if file.terms.epoch == judging]


def effective(enrolled: Keys, file: TrustedFile) -> dict[str, tuple[EnrolledKey, ...]]:
    """Return the file's keys that a journal enrols; all of a party's where those do not satisfy the suite."""
    found = {}
    for party, keys in file.keys.items():
        both = tuple(key for key in keys if key in enrolled.get(party, ()))
        algorithms = {key.algorithm for key in both}
        found[party] = both if algorithms.issuperset(SUITE_ALGORITHMS[file.terms.policy.suite]) else keys
    return found
