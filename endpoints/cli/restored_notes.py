"""Says that a journal was restored and waits for a new epoch, for the commands that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator


def restored_lines(reader: JournalReader, t: Translator) -> list[str]:
    """Return that a journal was restored and waits for a new epoch, one line; no line for any other."""
    from endpoints.texts.printable import one_line

    restored = reader.restored
    if restored is None:
        return []
    if isinstance(restored, str):
        return [t.say(restored)]
    values = {"source": one_line(restored.source), "when": restored.restored_at, "record": restored.records}
    return [t("restored at {when} from {source}: what followed record {record} is missing", **values)]


def restored_document(reader: JournalReader) -> dict[str, Any] | None:
    """Return what the mark of a restored journal says, for `--json`; None without a mark."""
    from msgspec import to_builtins

    restored = reader.restored
    if restored is None or isinstance(restored, str):
        return None if restored is None else {"unreadable": restored}
    return dict(to_builtins(restored))
