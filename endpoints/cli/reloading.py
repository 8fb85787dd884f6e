"""Stub until the reload of running processes is on main: same signature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator


def reload_running(config: Path, t: Translator) -> bool:
    """Return False: nothing is reloaded."""
    del config, t
    return False
