"""Small worlds in which terms, keys or journals change under way."""

from __future__ import annotations

from scenario.exploration.signing import signer
from scenario.exploration.small_world import Bounds, SmallWorld
from scenario.exploration.world_parts import ANSWERING, CALLER, NEW_EPOCH, PARTIES, SWAPPED, alert, link_file

_JOURNALS = frozenset({"journal_behind", "equivocation", "fork"})


def epochs() -> SmallWorld:
    """Return the world of a new epoch with frames under way on both sides."""
    return SmallWorld(
        name="epochs",
        about="2 messages each way, a new epoch on one side before the other, a loss, a crash",
        files=(link_file(), link_file(2, grace_s=600)),
        scripts=tuple((alert(side, 1), alert(side, 2)) for side in PARTIES),
        bounds=Bounds(losses=1, crashes=dict.fromkeys(PARTIES, 1)),
        explained=NEW_EPOCH,
        symmetries=(SWAPPED,),
    )


def journals() -> SmallWorld:
    """Return the world of a journal that is put back to an older copy."""
    return SmallWorld(
        name="journals",
        about="2 messages each way, a journal that lacks its last 1, 2 or 4 batches, a loss",
        files=(link_file(),),
        scripts=tuple((alert(side, 1), alert(side, 2)) for side in PARTIES),
        bounds=Bounds(losses=1, restorations=1, lacking=(1, 2, 4)),
        explained=NEW_EPOCH | _JOURNALS,
        symmetries=(SWAPPED,),
    )


def keys() -> SmallWorld:
    """Return the world of a caller's key that is replaced: the new one beside the old one, then alone."""
    caller, answering = signer("old", "new"), signer("answering")
    old, new = caller.enrolled
    stages = ((old,), (old, new), (new,))
    return SmallWorld(
        name="keys",
        about="a key is replaced in two steps on each side, an alert each way, a loss",
        files=tuple(link_file(keys={CALLER: each, ANSWERING: answering.enrolled}) for each in stages),
        scripts=((alert(CALLER, 1),), (alert(ANSWERING, 1),)),
        bounds=Bounds(losses=1, accepts=True),
        signers={CALLER: caller, ANSWERING: answering},
        explained=NEW_EPOCH | {"bad_frames"},
    )
