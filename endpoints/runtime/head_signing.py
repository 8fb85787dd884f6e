"""Signs the head of a running link's journal, at the latest 15 minutes after a record."""

from __future__ import annotations

from msgspec import structs

from endpoints.journal.writer import JournalWriter
from endpoints.runtime.due_links import NextTick
from endpoints.runtime.ports import Now, Outbound


class HeadSigning:
    """Decides when the head of a journal is signed. Without a key, or while keys wait for an officer, it is not.

    The journal's own monotonic time counts, not the machine's: so an exercise signs as often within its day as a real
    day would, and an audit can check it.
    """

    def __init__(self, journal: JournalWriter, outbound: Outbound) -> None:
        self._journal = journal
        self._outbound = outbound
        # whether there are records of an earlier run without a signed head: its monotonic time was another one
        self._owed = False

    def begin(self) -> None:
        """Note whether an earlier run has left records without a signed head; before the first batch of this one."""
        self._owed = self._journal.head_due_mono is not None

    def tick(self, now: Now) -> None:
        """Sign the head if that is due, behind the batch of this turn. Raises JournalFailure.

        For what an earlier run has left it is due in the first turn: behind the record that enrols new keys.
        """
        sign, due_mono = self._outbound.sign, self._journal.head_due_mono
        if sign is not None and due_mono is not None and (self._owed or now.mono >= due_mono):
            self._journal.sign_head(now.at, now.mono, sign)
            self._owed = False

    def sooner(self, tick: NextTick) -> NextTick:
        """Return `tick`, or the time at which the head is due if that is sooner."""
        due_mono = self._journal.head_due_mono if self._outbound.sign else None
        if due_mono is None or (tick.mono is not None and tick.mono <= due_mono):
            return tick
        return structs.replace(tick, mono=due_mono)
