"""Renders effects as the lines of a transcript."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from protocol.core.effects import (
    Apply,
    ClearAlarm,
    Effect,
    ExpireDraft,
    HoldDraft,
    Notify,
    Queue,
    RaiseAlarm,
    RejectFrame,
    Resend,
    Seal,
    Settle,
)

_UNTOLD = ", not notified"


def shown(effect: Effect) -> str:
    """Return the line of a transcript for an effect."""
    match effect:
        case Queue(message=message):
            return f"Queue {message.seq} {message.body['type']}"
        case HoldDraft(draft=draft):
            return f"HoldDraft {draft}"
        case ExpireDraft(draft=draft):
            return f"ExpireDraft {draft}"
        case Seal():
            run = "" if effect.first is UNSET else f" {effect.first}"
            run += "" if effect.last in {effect.first, UNSET} else f"-{effect.last}"
            return f"Seal {effect.channel}{run}" + ("" if effect.upto is UNSET else f", receipt {effect.upto}")
        case Resend(first=first):
            return f"Resend {first}"
        case Apply(message=message):
            refused = "" if effect.refused is UNSET else f", refused: {effect.refused}"
            return f"Apply {message.seq} {message.body.get('type', '?')}{refused}"
        case Settle(upto=upto):
            return f"Settle {upto}"
        case RejectFrame(reason=reason):
            return f"RejectFrame {reason}"
        case RaiseAlarm(alarm=alarm):
            since = "" if alarm.raised_at == alarm.detected_at else f", since {alarm.raised_at[11:]}"
            return f"RaiseAlarm {alarm.code}/{alarm.subject}{since}"
        case ClearAlarm():
            return f"ClearAlarm {effect.code}/{effect.subject}"
        case Notify(id=name):
            return f"Notify {name}"
    raise AssertionError(f"no words for {effect}")


def told(effects: Iterable[Effect]) -> list[str]:
    """Return the lines of effects, without the `Notify` after each `RaiseAlarm` and `ClearAlarm`, and without repeats.

    Where one is missing, the line says `, not notified`. An alarm that is over when it is raised needs one only.
    """
    lines: list[str] = []
    raised = about = ""
    for effect in effects:
        if isinstance(effect, Notify) and effect.kind == "alarm" and effect.repeat:
            continue
        if isinstance(effect, Notify) and effect.alarm and about == f"{effect.alarm.code}/{effect.alarm.subject}":
            raised, about = about if effect.alarm.cleared_at else "", ""
            lines[-1] = lines[-1].removesuffix(_UNTOLD)
            continue
        lines.append(shown(effect))
        about = ""
        if isinstance(effect, RaiseAlarm):
            about = f"{effect.alarm.code}/{effect.alarm.subject}"
            lines[-1] += _UNTOLD
        elif isinstance(effect, ClearAlarm) and f"{effect.code}/{effect.subject}" != raised:
            about = f"{effect.code}/{effect.subject}"
            lines[-1] += _UNTOLD
    return lines
