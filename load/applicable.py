"""Refuses options that would have no effect beside others, so that nobody believes that they had."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from endpoints.errors import UserError
from load.plan import SweptOption, What
from protocol.phrases import phrase

_EVERYWHERE = frozenset({"what", "report", "folder", "json", "lang"})
_OF: dict[What, frozenset[str]] = {
    "replay": frozenset({"count", "size"}),
    "verify": frozenset({"count", "size"}),
    "startup": frozenset({"count", "size", "repeats"}),
    "backlog": frozenset({"count", "size"}),
    "links": frozenset({"links", "duration", "size"}),
    "control": frozenset({"duration", "size"}),
}
"""The options of each measurement but exchanges."""
_NOT_SWEPT = ("slo", "baseline", "regress")
_SWEPT: dict[SweptOption, tuple[str, ...]] = {
    "rate": ("rate", "window"),
    "window": ("rate", "window", "arrival"),
    "size": ("size",),
    "links": ("links",),
}
"""The options that a sweep decides."""


def require_applicable(given: Collection[str], what: What, sweep: SweptOption | None, *, running: bool) -> None:
    """Raise UserError for an option that has no effect.

    Args:
        given: the names of the options that differ from their defaults, without their hyphens.
        what: what is measured.
        sweep: the option that is swept.
        running: whether endpoints are given, which run already.
    """
    if what != "exchange":
        _refuse(given, sorted(set(given) - _EVERYWHERE - _OF[what]), f"--what {what}")
        if what == "links" and "links" not in given:
            raise UserError(phrase("--what links: give the number of links with --links, such as --links 64"))
        return
    _refuse(given, ["count"], "--what exchange")
    if sweep is not None:
        _refuse(given, (*_NOT_SWEPT, *_SWEPT[sweep]), f"--sweep {sweep}")
    if "regress" in given and "baseline" not in given:
        raise UserError(phrase("--regress: give an earlier summary.json with --baseline too"))
    if running and "folder" in given:
        raise UserError(phrase("--folder: running endpoints have folders of their own; leave it out"))
    if not running and "link" in given:
        raise UserError(phrase("--link: name two running endpoints too, or leave it out"))


def _refuse(given: Collection[str], names: Iterable[str], beside: str) -> None:
    for name in names:
        if name in given:
            raise UserError(phrase("--{option}: has no effect with {other}; leave it out", option=name, other=beside))
