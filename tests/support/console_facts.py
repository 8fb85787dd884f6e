"""Facts of small exchanges, for tests of the screens' views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from endpoints.config.link_file import LinkFile
from endpoints.config.settings import LinkSettings
from endpoints.console.condition import Condition
from endpoints.console.facts import Facts
from endpoints.console.history import History
from endpoints.console.preferences import Preferences
from endpoints.control.status import status
from endpoints.runtime.gauges import Gauges
from protocol.core.duty import OwnWords
from tests.support.exchange import Exchange, link_file

FAR = 1 << 40


def settings_of(folder: Path, file: LinkFile | None = None) -> LinkSettings:
    """Return the settings of a link whose journal lies in `folder`."""
    return LinkSettings(file=folder / "link.toml", content=file or link_file(), journal=folder, words=OwnWords())


async def facts_of(exchange: Exchange, side: str = "eucom", **changes: Any) -> Facts:
    """Return what a screen of a side is made from: its endpoint's status, and its journal, folded."""
    end = exchange.ends[side]
    settings = settings_of(end.folder, exchange.file)
    history = History(settings, side)
    await history.bring_up_to(FAR)
    view = end.runner.core.snapshot()
    gauges = Gauges(link=settings.id, side=side, failure=None, flushed_at=end.at, free_bytes=1 << 40, heard_s={})
    known: dict[str, Any] = {
        "settings": settings,
        "side": side,
        "status": status(view, gauges, end.now),
        "snapshot": view,
        "heard_at": end.at,
        "presence": {},
        "upto": history.upto,
        "condition": Condition(state="live"),
        "now": end.at,
        "rate": 1,
        "watch": None,
        "history": history,
        "role": "officer",
        "officer": "watch-1",
        "texts": True,
        "preferences": Preferences(),
        "rest": "",
    }
    return Facts(**(known | changes))
