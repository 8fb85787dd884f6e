"""Compares a run with an earlier one of the same machine, version of Python and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from load.plan import LoadPlan
from load.provenance import Machine, machine, versions
from load.summary import Summary
from protocol.phrases import phrase

FILE_MAX_BYTES = 4 << 20
_PLAN = ("at", "rate", "window", "links", "size_bytes", "arrival")
"""The options that decide what is measured; a longer run of the same is comparable."""
_VERSIONS = ("python", "openssl", "mosquitto")
_MACHINE = ("processor", "cores", "system", "file_system")


class Baseline(Struct, frozen=True, kw_only=True):
    """What is needed of an earlier `summary.json`."""

    median_ms: dict[str, float]
    median_rate_per_s: float
    ratio: dict[str, dict[str, float] | None]
    plan: dict[str, Any]
    provenance: dict[str, Any]


class FigureChange(Struct, frozen=True, kw_only=True):
    """One figure beside the baseline's.

    Attributes:
        name: `p50`, `p99` or `rate`.
        before, after: medians of the repeats, in milliseconds or exchanges a second.
        worse: by which share it is worse, negative if it is better.
        ratio_worse: the same of the ratio to the skeleton, None if it was not measured in both.
    """

    name: str
    before: float
    after: float
    worse: float
    ratio_worse: float | None

    def regressed(self, allowed: float) -> bool:
        """Return whether it is worse by more than the share `allowed`: the ratio decides, if there is one."""
        return (self.worse if self.ratio_worse is None else self.ratio_worse) > allowed


def load_baseline(path: Path, plan: LoadPlan, folder: Path) -> Baseline:
    """Return the baseline in `path`. Raises UserError if it is none, or of another machine, version or plan."""
    try:
        data = read_bytes(path, what=phrase("baseline"), max_bytes=FILE_MAX_BYTES)
        found = msgspec.json.decode(data, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UserError(phrase("--baseline: {path}: not the summary.json of a load test", path=path)) from None
    _require_same(path, phrase("machine"), found.provenance.get("machine") or {}, _machine(machine(folder)), _MACHINE)
    _require_same(path, phrase("version"), found.provenance.get("versions") or {}, versions(), _VERSIONS)
    _require_same(path, phrase("plan"), found.plan, msgspec.to_builtins(plan), _PLAN)
    return found


def changes(before: Baseline, after: Summary) -> list[FigureChange]:
    """Return how the figures have changed."""
    found = [
        _change(name, before.median_ms.get(name, 0.0), getattr(after.median_ms, name), before, after)
        for name in ("p50", "p99")
    ]
    return [*found, _change("rate", before.median_rate_per_s, after.median_rate_per_s, before, after)]


def _change(name: str, was: float, now: float, before: Baseline, after: Summary) -> FigureChange:
    ratio_before, ratio_after = before.ratio.get("skeleton") or {}, after.ratio.get("skeleton") or {}
    ratio = None
    if name in ratio_before and name in ratio_after:
        ratio = _worse(name, ratio_before[name], ratio_after[name])
    return FigureChange(name=name, before=was, after=now, worse=_worse(name, was, now), ratio_worse=ratio)


def _worse(name: str, was: float, now: float) -> float:
    """Return by which share `now` is worse: a rate is worse if it is lower."""
    if not was or not now:
        return 0.0
    return round((was / now if name == "rate" else now / was) - 1, 4)


def _machine(found: Machine) -> dict[str, Any]:
    builtins: dict[str, Any] = msgspec.to_builtins(found)
    return builtins


def _require_same(path: Path, what: str, was: dict[str, Any], now: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if was.get(name) != now.get(name):
            raise UserError(
                phrase(
                    "--baseline: {path}: of another {what}: {name} was {was} and is {now}; measure a new baseline here",
                    path=path,
                    what=what,
                    name=name,
                    was=str(was.get(name)),
                    now=str(now.get(name)),
                )
            )
