"""Migrates the state of a checkpoint from older rules to the present ones, one version at a time.

A step is a pure function of the state's JSON value. It changes how the state is written and never what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw

from protocol.core.alarm_repeats import REPEAT_FIRST_MS
from protocol.core.core import Core
from protocol.core.event_fields import Rules
from protocol.phrases import phrase

State = dict[str, Any]


def objection(rules: Rules, present: Rules = Core.RULES) -> str:
    """Return why a journal of `rules` cannot be continued under the `present` ones, an empty string if it can."""
    if int(rules) <= int(present):
        return ""
    return phrase(
        "written by a newer version (rules {rules}; this version knows rules up to {present})",
        rules=rules,
        present=present,
    )


def migrated(state: Raw, core: str, rules: Rules) -> Raw:
    """Return the state of a `core` under the present rules. `rules`, of the given state, have no `objection`.

    Raises ValueError for a state that these rules cannot have written.
    """
    if rules == Core.RULES:
        return state
    value = msgspec.json.decode(state)
    for version in range(int(rules), int(Core.RULES)):
        try:
            value = STEPS[version, core](value)
        except (KeyError, TypeError, AttributeError, StopIteration) as error:
            raise ValueError(
                phrase("not a state of {core}, rules {version}: {error}", core=core, version=version, error=repr(error))
            ) from error
    return Raw(msgspec.json.encode(value))


def _link_1_to_2(state: State) -> State:
    """Group what exists only in an open epoch."""
    terms = state["terms"]
    epoch = None if terms is None else {"terms": terms, "outbox": state["outbox"], "inbox": state["inbox"]}
    return _core_1_to_2(state, epoch) | {
        "officer_requests": state["desk"],
        "references": state["known"],
        "undelivered": state["undelivered"],
        "receipt_owed": state["receipt_owed"],
        "foreign_answered_age": state["foreign_answered_age"],
    }


def _observer_1_to_2(state: State) -> State:
    """Group what exists only in an open epoch; forget streams of parties of earlier epochs, which nothing reads."""
    terms = state["terms"]
    if terms is None:
        return _core_1_to_2(state, None)
    parties = (terms["caller"], terms["answering"])
    streams, receipted = ({party: state[name][party] for party in parties} for name in ("streams", "receipted"))
    return _core_1_to_2(state, {"terms": terms, "streams": streams, "receipted": receipted})


def _core_1_to_2(state: State, epoch: State | None) -> State:
    return {
        "link": state["link"],
        "side": state["side"],
        "epoch": epoch,
        "keys": state["keys"],
        "deadlines": state["timeline"],
        "alarms": state["alarms"],
        "notifications": state["notices"],
        "watch": state["watch"],
        "alerts": state["alerts"],
        "requests": state["requests"],
        "connected": state["connected"],
        "present": state["present"],
    }


def _link_2_to_3(state: State) -> State:
    """Add what rules 3 keep of one side's end of a link."""
    _mark_final_alerts(state)
    epoch = state["epoch"]
    if epoch is not None:
        epoch = epoch | {"outbox": epoch["outbox"] | {"sign_again": False}}
    requests = _with_after("last_draft", {"ended": {}}, state["officer_requests"])
    own = {"words": {"test_text": None, "answer_text": None}, "on_watch": None}
    return _core_2_to_3(state) | {"epoch": epoch, "officer_requests": requests} | own


def _mark_final_alerts(state: State) -> None:
    """Give cancellations, and alerts that the peer has changed, the kind that no change may refer to."""
    for reference, opened in state["alerts"].items():
        sender = reference.partition("/")[0]
        changed = sender != state["side"] and opened["state"] in {"changed", "cancelled"}
        kinds = state["references"].get(sender, {}).get("kinds", {})
        if reference in kinds and (changed or opened["alert"].get("change", {}).get("kind") == "cancellation"):
            kinds[reference] = "final_alert"


def _observer_2_to_3(state: State) -> State:
    """Add what rules 3 keep of a watch."""
    state = _core_2_to_3(state)
    if state["epoch"] is not None:
        state["epoch"]["claimed"] = {party: {} for party in state["epoch"]["streams"]}
    return state


def _core_2_to_3(state: State) -> State:
    """Add what rules 3 keep of both: keys that wait, officers, refusals, acts, times of messages, suppressed frames."""
    parties = () if state["epoch"] is None else [state["epoch"]["terms"][role] for role in ("caller", "answering")]
    for each in (*state["alerts"].values(), *state["watch"]["tests"].values()):
        each["sent_at"] = None
    for reference, opened in state["alerts"].items():
        opened |= {"acts": _acts(opened, reference.partition("/")[0], parties), "acts_earlier": 0}
    state["keys"] = {"agreed": state["keys"], "pending": None, "watch": []}
    state = _with_after("keys", {"officers": None}, state)
    clocks: State = {"said": {}, "latest": {}, "floors": {}, "receipted": {}, "answered": 0}
    state = _with_after("alerts", {"peer_clocks": clocks, "suppressed": {}}, state)
    return _with_after("present", {"credentials_refused": {}}, state)


def _acts(opened: State, sender: str, parties: Iterable[str]) -> list[State]:
    """Return the act of the last reply, which is all that rules 2 keep, without the reference of its message."""
    reply = opened["reply"]
    if reply is None:
        return []
    what = "acknowledged" if reply["type"] == "acknowledgement" else "refused"
    party = next(party for party in parties if party != sender)
    said = {name: reply[name] for name in ("officer", "decision", "reason") if name in reply}
    return [{"act": what, "at": opened["replied_at"], "party": party, **said}]


def _link_3_to_4(state: State) -> State:
    """Add what rules 4 keep of one side's end of a link."""
    return _core_3_to_4(state)


def _observer_3_to_4(state: State) -> State:
    """Add what rules 4 keep of a watch."""
    return _core_3_to_4(state)


def _core_3_to_4(state: State) -> State:
    """Add what rules 4 keep of both: notices to come, the trouble of the connection, and when parties last signed."""
    for slot in state["watch"]["slots"].values():
        slot |= {"told": 0, "tell_at": 0}
    for test in state["watch"]["tests"].values():
        test["placed_by"] = None
    due_age = state["deadlines"]["age"] + REPEAT_FIRST_MS
    waiting = {
        key: {"told": 1, "due_age": due_age}
        for key, alarm in state["alarms"].items()
        if alarm["severity"] != "warning" and "cleared_at" not in alarm and "acknowledged_at" not in alarm
    }
    repeats: State = {"waiting": waiting, "rounds": [], "warned": {}}
    state = _with_after("alarms", {"alarm_repeats": repeats}, state)
    state = _with_after("connected", {"connection_trouble": "", "connection_trouble_said": None}, state)
    return _with_after("present", {"last_signed": {}}, state)


def _link_4_to_5(state: State) -> State:
    """Add the comparison of the link file: rules 4 kept none."""
    return state | {"confirmed": None}


def _observer_4_to_5(state: State) -> State:
    """Return the state as it is: rules 5 keep nothing more of a watch."""
    return state


def _any_5_to_6(state: State) -> State:
    """Return the state as it is: rules 6 have further events, and keep nothing more."""
    return state


def _with_after(key: str, added: State, state: State) -> State:
    """Return `state` with further entries behind `key`: a checkpoint is written in the order of its structure."""
    items = list(state.items())
    place = [name for name, _ in items].index(key) + 1
    return dict(items[:place]) | added | dict(items[place:])


STEPS: dict[tuple[int, str], Callable[[State], State]] = {
    (1, "Link"): _link_1_to_2,
    (1, "Observer"): _observer_1_to_2,
    (2, "Link"): _link_2_to_3,
    (2, "Observer"): _observer_2_to_3,
    (3, "Link"): _link_3_to_4,
    (3, "Observer"): _observer_3_to_4,
    (4, "Link"): _link_4_to_5,
    (4, "Observer"): _observer_4_to_5,
    (5, "Link"): _any_5_to_6,
    (5, "Observer"): _any_5_to_6,
}
"""The steps, by the version from which each leads to the next one, and by the name of the core."""
