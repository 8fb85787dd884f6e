"""The links of a simulated process: what outlives it of each, and how the service's own runners are built on that."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.config.own_words import own_words
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.journal.writer import Batch, JournalWriter
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.link_runner import AnyRunner, LinkRunner
from endpoints.runtime.observing import SendsNothing
from endpoints.runtime.reopening import LinkOpener
from protocol.core.duty import OwnWords
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.fold import CoreT, fold
from scenario.simulation.disk import Disk
from scenario.simulation.invariants import Invariants
from scenario.simulation.signatures import Signatures

SEGMENT_BYTES = 160_000
"""Small, so that a month has many checkpoints, and a restart reads little."""


class SimulatedLink:
    """One link of a process, with what outlives the process: the link file, the disk of its journal.

    Attributes:
        file: the link file that the next start reads.
        disk: holds the journal.
        invariants: check what reaches the disk.
    """

    def __init__(self, process: str, file: LinkFile, invariants: Invariants, chance: random.Random) -> None:
        self.file = file
        self.disk = Disk(process, chance)
        self.invariants = invariants
        self._process = process

    @property
    def id(self) -> str:
        """The id of the link."""
        return self.file.terms.link

    def adopt(self, file: LinkFile) -> None:
        """Install another link file, for the next start."""
        self.file = file

    def opener(
        self,
        ports: Any,
        signatures: Signatures,
        officers: Mapping[str, str],
        draw_nonce: Callable[[], str],
        on_disk: Callable[[Batch], None],
    ) -> LinkOpener[Any]:
        """Return what opens the journal and builds the runner on it.

        Args:
            ports: the process, which takes notifications and frames.
            signatures: signs and judges.
            officers: the digests of those who may act, by id.
            draw_nonce: draws what the words of a line test derive from.
            on_disk: takes each batch that reached the disk.
        """
        journal = JournalWriter(
            self.disk, self.id, self._process, segment_bytes=SEGMENT_BYTES, on_disk=partial(self._durable, on_disk)
        )

        def watching(journal: JournalWriter) -> AnyRunner:
            core = self._recovered(journal, Observer.new(journal.link, self._process))
            judges, heads = signatures.judge, SendsNothing(signatures.signer(self._process))
            return LinkRunner(core, journal, self.file, ports, outbound=heads, judges=judges, draw_nonce=draw_nonce)

        def linked(journal: JournalWriter) -> EndpointLink:
            return EndpointLink(
                self._recovered(journal, Link.new(journal.link, self._process)),
                journal,
                self.file,
                ports,
                signer=signatures.signer(self._process),
                outlet=ports,
                officers=officers,
                judges=signatures.judge,
                draw_nonce=draw_nonce,
                words=self._words(),
            )

        return LinkOpener(journal, watching if self._process == WATCH_IDENTITY else linked)

    def _words(self) -> OwnWords:
        """Return what this side says in line tests: what `init` writes into its settings."""
        terms = self.file.terms
        texts = default_terms.words(self.file.parties[self._process].site, (terms.policy.test_language,))
        return own_words(texts.get("test_text", UNSET), texts.get("answer_text", UNSET), terms, at=self._process)

    def _recovered(self, journal: JournalWriter, empty: CoreT) -> CoreT:
        """Return the core that the journal leads to; the invariants compare its effects with the recorded ones."""
        records = journal.take_recovered()
        self.invariants.recovered(self._process, journal.n, records)
        return fold(records, empty, partial(self.invariants.replayed, self._process))

    def _durable(self, on_disk: Callable[[Batch], None], batch: Batch) -> None:
        self.invariants.durable(self._process, batch)
        on_disk(batch)
