"""Says that a journal was restored or is archived, and what is missing in it, for the commands that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator


def restored_lines(reader: JournalReader, t: Translator) -> list[str]:
    """Return a line for each restoration that a journal records, and one if it waits for a new epoch since another."""
    from endpoints.texts.printable import one_line

    lines = [
        t(
            "restored at {when} from a copy: what followed record {record} then is missing",
            when=each.restored_at,
            record=each.records,
        )
        for each in reader.restorations
    ]
    restored = reader.restored
    if restored is None:
        return lines
    if isinstance(restored, str):
        return [*lines, t.say(restored)]
    values = {"source": one_line(restored.source), "when": restored.restored_at, "record": restored.records}
    return [*lines, t("restored at {when} from {source}: what followed record {record} is missing", **values)]


def restorations(reader: JournalReader) -> list[dict[str, Any]]:
    """Return the restorations that a journal records, for `--json`."""
    return [
        {"restored_at": each.restored_at, "records": each.records, "head": each.head} for each in reader.restorations
    ]


def restored_document(reader: JournalReader) -> dict[str, Any] | None:
    """Return what the mark of a restored journal says, for `--json`; None without a mark."""
    from msgspec import to_builtins

    restored = reader.restored
    if restored is None or isinstance(restored, str):
        return None if restored is None else {"unreadable": restored}
    return dict(to_builtins(restored))


def archived_document(reader: JournalReader) -> dict[str, Any] | None:
    """Return what the mark of an archived journal says, for `--json`; None if nothing is elsewhere."""
    from msgspec import to_builtins

    return None if reader.moved is None else dict(to_builtins(reader.moved))
