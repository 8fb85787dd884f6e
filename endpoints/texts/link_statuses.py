"""Words for the status of a link over its epochs: exercise or actual."""

from __future__ import annotations

from collections.abc import Mapping

from endpoints.texts.i18n import Translator


def status_words(statuses: Mapping[int, str], t: Translator) -> str:
    """Return the status of a link, by epoch if it changed."""
    if len(set(statuses.values())) == 1:
        return t.term("status", next(iter(statuses.values())))
    return ", ".join(
        f"{t('epoch {epoch}', epoch=epoch)} {t.term('status', status)}" for epoch, status in sorted(statuses.items())
    )
