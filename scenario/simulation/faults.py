"""Draws the plan of a simulated world from one seed: its faults, and its officers' acts.

A fault or act that is dropped from the plan leaves the others unchanged, so that a failing plan can be shrunk.
"""

from __future__ import annotations

import random
from typing import Literal

from msgspec import Struct

from protocol.wire.instants import Millis
from scenario.simulation.chance import drawn

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR
CALM: Millis = 30 * HOUR
"""The end of each world, which has no faults and in which everything must settle: two or three slots."""

FaultKind = Literal[
    # the network
    "cut",
    "mute",
    "deaf",
    "lossy",
    "slow",
    "shuffled",
    "doubled",
    # the broker
    "broker_down",
    "broker_wiped",
    "broker_forgets",
    "broker_withholds",
    "broker_replays",
    "broker_refuses",
    "taken_over",
    # processes and machines
    "crash",
    "power_cut",
    "clean_stop",
    "sleep",
    "clock_step",
    # disks
    "space_low",
    "disk_full",
    "flush_fails",
    "journal_restored",
    # forged frames, and a peer that signs two versions
    "forged",
    "flood",
    "two_faced",
]
CrashPoint = Literal["idle", "before_append", "torn", "after_append", "mid_perform", "before_acknowledge"]
CRASH_POINTS: tuple[CrashPoint, ...] = (
    "idle",
    "before_append",
    "torn",
    "after_append",
    "mid_perform",
    "before_acknowledge",
)


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault, `at` ms after the start of the world."""

    at: Millis
    kind: FaultKind
    # a process or client; empty for a fault of the broker
    where: str = ""
    lasts: Millis = 0
    # by kind: thousandths of probability, milliseconds of a step, a number of frames
    amount: int = 0
    point: CrashPoint = "idle"


class PlannedAct(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One act of an officer, `at` ms after the start of the world."""

    at: Millis
    side: str
    kind: Literal["alert", "burst", "line_test", "change", "cancel", "discard", "session"]
    # the number of alerts, the index of the precedence, or how long a session lasts (ms)
    amount: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """The faults and acts of one world."""

    seed: int
    days: int
    faults: tuple[Fault, ...]
    acts: tuple[PlannedAct, ...]
    # real signatures instead of the fast keyed hash
    real_keys: bool = False

    @property
    def ends(self) -> Millis:
        """The length of the world, in ms."""
        return self.days * DAY


_SIDES = ("eucom", "ndmc")
_CLIENTS = ("eucom", "ndmc", "watch")
_WEIGHTS: dict[FaultKind, int] = {
    "cut": 6,
    "mute": 4,
    "deaf": 4,
    "lossy": 4,
    "slow": 3,
    "shuffled": 4,
    "doubled": 4,
    "broker_down": 4,
    "broker_wiped": 3,
    "broker_forgets": 3,
    "broker_withholds": 3,
    "broker_replays": 3,
    "broker_refuses": 1,
    "taken_over": 1,
    "crash": 10,
    "power_cut": 6,
    "clean_stop": 2,
    "sleep": 2,
    "clock_step": 3,
    "space_low": 2,
    "disk_full": 2,
    "flush_fails": 2,
    "journal_restored": 1,
    "forged": 3,
    "flood": 1,
    "two_faced": 1,
}
_STEPS: tuple[Millis, ...] = (900, SECOND, 30 * SECOND, 5 * MINUTE, HOUR, 26 * HOUR, 365 * DAY)
"""How far a wall clock is stepped, in either direction."""
_REAL_KEYS_EVERY = 100
"""One seed of this many uses real Ed25519 signatures."""


def draw(seed: int, days: int) -> Plan:
    """Return the plan of a seed. Some plans have no faults, some have one every few hours."""
    chance = drawn(seed)
    span = days * DAY - CALM
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    faults = [
        _fault(chance, chance.choices(kinds, weights)[0], span) for _ in range(chance.choice((0, 2, 5, 10, 20, 30)))
    ]
    acts = [_act(chance, span) for _ in range(chance.choice((0, 2, 5, 10, 20)))]
    return Plan(
        seed=seed,
        days=days,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        acts=tuple(sorted(acts, key=lambda act: act.at)),
        real_keys=seed % _REAL_KEYS_EVERY == 0,
    )


def _fault(chance: random.Random, kind: FaultKind, span: Millis) -> Fault:
    # mostly short, sometimes long: from 3 s to 3 h, on a logarithmic scale
    lasts = int(10 ** chance.uniform(3.5, 7.0))
    lasts = min(lasts, span // 4)
    at = chance.randrange(0, span - lasts)
    where, amount, point = "", 0, CRASH_POINTS[0]
    if kind in {
        "cut",
        "mute",
        "deaf",
        "lossy",
        "slow",
        "shuffled",
        "doubled",
        "broker_withholds",
        "broker_refuses",
    } or kind in {"crash", "power_cut", "clean_stop", "sleep", "clock_step", "disk_full", "flush_fails"}:
        where = chance.choice(_CLIENTS)
    elif kind in {"space_low", "taken_over", "journal_restored", "forged", "flood", "two_faced"}:
        where = chance.choice(_SIDES)
    if kind in {"lossy", "doubled", "broker_forgets"}:
        amount = chance.choice((50, 200, 500, 900))
    elif kind == "slow":
        amount = int(10 ** chance.uniform(2.5, 6))
    elif kind == "clock_step":
        amount = chance.choice((-1, 1)) * chance.choice(_STEPS)
    elif kind in {"forged", "broker_replays"}:
        amount = chance.randint(1, 8)
    elif kind == "flood":
        amount = chance.randint(50, 400)
    elif kind in {"crash", "power_cut"}:
        point = chance.choice(CRASH_POINTS)
        lasts = min(lasts, chance.choice((5 * SECOND, 2 * MINUTE, 8 * HOUR)))
    elif kind == "journal_restored":
        # the number of batches that the copy lacks; early, since it shows only when the other side sends again
        amount, at = int(10 ** chance.uniform(0, 2.3)), at * 2 // 3
    elif kind == "two_faced":
        amount = chance.randint(0, 1)
    return Fault(at=at, kind=kind, where=where, lasts=lasts, amount=amount, point=point)


def _act(chance: random.Random, span: Millis) -> PlannedAct:
    kind: Literal["alert", "burst", "line_test", "change", "cancel", "discard"]
    kind = chance.choice(("alert", "alert", "alert", "alert", "burst", "line_test", "change", "cancel", "discard"))
    amount = chance.randint(2, 40) if kind == "burst" else chance.randint(0, 3)
    return PlannedAct(at=chance.randrange(0, span), side=chance.choice(_SIDES), kind=kind, amount=amount)
