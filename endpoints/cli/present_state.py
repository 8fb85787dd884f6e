"""The present state of a link, whether or not its process runs: from the running process, else from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from protocol.core.snapshot import Snapshot


def present_state(found: ProcessSettings, chosen: LinkSettings) -> Snapshot | None:
    """Return a link's snapshot; None if its journal has no record yet. Raises UserError, JournalError."""
    from endpoints.journal.segments import locked

    if locked(chosen.journal):
        import msgspec

        from endpoints.control.client import ControlClient
        from protocol.core.snapshot import Snapshot

        return msgspec.convert(ControlClient(found.control, chosen.id).get("snapshot"), Snapshot)
    from endpoints.journal.last_segment import last_segment
    from protocol.record.replay import at_end

    records = last_segment(chosen.journal, chosen.id, found.side)
    core = at_end(records) if records else None
    return None if core is None or core.terms is None else core.snapshot()


def over(found: ProcessSettings, chosen: LinkSettings, state: Snapshot) -> int:
    """Return the latest epoch that this side can't open any more: the open one, or a restored journal's (SPEC E2.3).

    Raises UserError if the mark of a restored journal can't be read.
    """
    from endpoints.config.settings import WatchSettings
    from endpoints.journal.restored import RestoredMark

    # the watch goes on in its epoch
    mark = None if isinstance(found, WatchSettings) else RestoredMark(chosen.journal).read()
    return state.epoch if mark is None else max(state.epoch, mark.epoch)
