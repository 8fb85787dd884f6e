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


def told(effects: Iterable[Effect]) -> list[Effect]:
    """Return the effects without the `Notify` after each `RaiseAlarm`; fail if one is missing."""
    kept: list[Effect] = []
    awaited = None
    for effect in effects:
        if awaited is not None:
            assert isinstance(effect, Notify)
            assert effect.alarm == awaited
            awaited = None
            continue
        if isinstance(effect, RaiseAlarm):
            awaited = effect.alarm
        kept.append(effect)
    assert awaited is None, "no Notify follows the last RaiseAlarm"
    return kept
