"""Writes notifications for people and programs: one JSON object for each, whose `text` is one line for people.

The object has `text`, in the language of the settings, `id`, `link`, its `status` (exercise or actual), `side`, `kind`
(`alarm`, `message`, `slot`, `test`), and by kind `alarm`; `reference`, `body`, `sent_at` and `received_at`; or `slot`
and `until`, of a line test that an officer must place. `repeat` counts how often an alarm or slot was notified before.
`text` begins with what a reader must know first: the link and its status, if the receivers get both kinds; `TEST`,
`OVER`, `REPEATED (2)`, or how old the message is; `stale` says the last for programs (SPEC M8.4). Of a critical alarm
and of a refusal as out of scope, it ends with the other channels, which `channels` has for programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import UNSET

from endpoints.texts.channels import other_channels
from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from endpoints.texts.wording import age_warning, decoded, local, moment, wording_of
from protocol.core.alarms import Alarm
from protocol.core.effects import Notify
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Alert, AnyBody, Count, Identifier, Utc
from protocol.wire.policy import Channel
from protocol.wire.refusals import MessageRefusal


class Notice(TypedDict):
    """What every notification has."""

    # one line for people, in the language of the settings
    text: str
    # the same notification may come again, under the same id
    id: str
    # of a notification that concerns all links of a process, the first one
    link: Identifier
    side: Identifier
    # what the link is for, where that is known
    status: NotRequired[Literal["actual", "exercise"]]
    # the other channels, with a critical alarm and a refusal as out of scope
    channels: NotRequired[list[Channel]]


class AlarmNotice(Notice):
    """An alarm was raised, is repeated, or is over."""

    kind: Literal["alarm"]
    alarm: Alarm
    # how often it was notified before
    repeat: Count


class MessageNotice(Notice):
    """A message has arrived."""

    kind: Literal["message"]
    # such as `eucom/1/42`
    reference: str
    # as it was sent: the other side's words, which are not yours
    body: dict[str, Any]
    # when it was sent by its sender's clock, and when it arrived; null in records of rules 2
    sent_at: Utc | None
    received_at: Utc | None
    # why it is no news
    stale: NotRequired[Staleness]


class SlotNotice(Notice):
    """An officer has to place the line test of a slot."""

    kind: Literal["slot"]
    slot: Utc
    # the end of its grace
    until: Utc
    # how often it was notified before
    repeat: Count


class ReceiversTest(Notice):
    """A test of the receivers: nothing has happened."""

    kind: Literal["test"]


AnyNotice = AlarmNotice | MessageNotice | SlotNotice | ReceiversTest


class NoticeWords:
    """Writes the texts of notifications: in one language, as of now, on the wall clock of each link's own site."""

    def __init__(
        self,
        t: Translator,
        now: Callable[[], Millis],
        zones: Mapping[str, str],
        channels: Mapping[str, Sequence[Channel]] | None = None,
        statuses: Mapping[str, str] | None = None,
    ) -> None:
        """Make it.

        Args:
            t: the language.
            now: reads the wall clock, in ms since 1970.
            zones: the time zone of this side's site, by link.
            channels: the other channels of the policy, by link.
            statuses: what each link is for, exercise or actual. If links differ, each text begins with that.
        """
        self.now = now
        self._t = t
        self._zones = zones
        self._channels = channels or {}
        self._statuses = statuses or {}
        self._of_both_kinds = len(set(self._statuses.values())) > 1

    def status(self, link: str) -> str | None:
        """Return what a link is for, None if that is not known."""
        return self._statuses.get(link)

    def which(self, link: str) -> str:
        """Return which link a text is about and what it is for, if the receivers get both kinds; else nothing."""
        return f"{self._named(link)}: " if self._of_both_kinds else ""

    def _named(self, link: str) -> str:
        return f"{self._t.term('status', self._statuses[link])}, {link}" if link in self._statuses else link

    def channels(self, link: str, effect: Notify) -> Sequence[Channel]:
        """Return the channels to use instead: for a critical alarm and a refusal as out of scope; else none."""
        alarm = effect.alarm
        critical = alarm is not UNSET and alarm.severity == "critical" and alarm.active
        body = effect.body or {}
        refused = body.get("type") == "refusal" and body.get("reason") == MessageRefusal.OUT_OF_SCOPE
        return self._channels.get(link, ()) if critical or refused else ()

    def alarm(self, link: str, effect: Notify, alarm: Alarm, now: Millis) -> str:
        """Return the text for an alarm.

        It begins with whether it is over or repeated, and whether it, or the message that it is about, is old. A repeat
        says that the alarm is still open, so it is no old news however long ago it was detected. If it is critical, it
        ends with the other channels.
        """
        t = self._t
        what = f"{t.alarm(alarm.code, alarm.subject)} ({alarm.subject})"
        if alarm.detail:
            what = f"{what}: {t.say(alarm.detail, alarm.said or None)}"
        since = alarm.cleared_at or alarm.detected_at
        still_open = effect.repeat and not alarm.cleared_at
        if not still_open and staleness(None, since, now, now).old_since is not None:
            what = f"{t('OLD, of {when}', when=local(since, t, 'UTC'))}: {what}"
        what = f"{age_warning(alarm.stale or Staleness(), t, now)}{what}"
        if alarm.cleared_at:
            what = f"{t('OVER')}: {what}"
        elif effect.repeat:
            what = f"{t('REPEATED ({count})', count=effect.repeat)}: {what}"
        return one_line("; ".join(filter(None, [what, other_channels(self.channels(link, effect), t)])))

    def test(self, side: str, links: Sequence[str], now: Millis) -> str:
        """Return the text of a message that only tests the receivers."""
        t = self._t
        return one_line(
            t(
                "TEST of notifications, {side} ({links}), {when} UTC. Nothing has happened, and nothing is to be done.",
                side=side,
                links="; ".join(self._named(link) for link in links),
                when=t.instant(now, "UTC"),
            )
        )

    def message(self, link: str, effect: Notify, said: AnyBody | None, stale: Staleness, now: Millis) -> str:
        """Return the text for a message, decoded to `said`; first of all, what makes it old news (SPEC M8.4)."""
        t, zone = self._t, self._zones.get(link, "UTC")
        arrived = parsed(effect.received_at) if effect.received_at else None
        warning = age_warning(stale, t, now, zone, arrived=arrived)
        what = f"{warning}{effect.reference}: {wording_of(said, effect.body or {}, t, zone)}"
        return "; ".join(filter(None, [what, other_channels(self.channels(link, effect), t)]))

    def slot(self, link: str, effect: Notify, now: Millis) -> str:
        """Return the text for a line test that an officer has to place, or had to, if its grace is over."""
        t, zone = self._t, self._zones.get(link, "UTC")
        slot, until = effect.slot or "", effect.until or ""
        if parsed(until) <= now:
            return t("the line test of {slot} is no longer due: its time is over", slot=moment(slot, t, zone))
        due = t(
            "the line test of {slot} is due: an officer has to place it until {until}, {left} from now",
            slot=moment(slot, t, zone),
            until=f"{t.time(parsed(until), zone)} {zone}",
            left=t.duration((parsed(until) - now) / 1_000),
        )
        return t("REMINDER {number}: {what}", number=effect.repeat, what=due) if effect.repeat else due


def notice(link: str, side: str, effect: Notify, words: NoticeWords) -> dict[str, Any]:
    """Return the JSON object that receivers of `effect` get now; `text` comes first."""
    now = words.now()
    content: dict[str, Any] = {"text": "", "id": effect.id, "link": link, "side": side, "kind": effect.kind}
    if status := words.status(link):
        content["status"] = status
    which = words.which(link)
    if channels := words.channels(link, effect):
        content["channels"] = msgspec.to_builtins(channels)
    if effect.alarm is not UNSET:
        content["text"] = which + words.alarm(link, effect, effect.alarm, now)
        return content | {"alarm": msgspec.to_builtins(effect.alarm), "repeat": effect.repeat}
    if effect.kind == "slot":
        content["text"] = which + words.slot(link, effect, now)
        return content | {"slot": effect.slot, "until": effect.until, "repeat": effect.repeat}
    body, sent_at, received_at = effect.body or {}, effect.sent_at or None, effect.received_at or None
    arrived = now if received_at is None else max(now, parsed(received_at))
    said = decoded(body)
    stale = staleness(expiry(said) if isinstance(said, Alert) else None, sent_at, arrived, now)
    content["text"] = which + words.message(link, effect, said, stale, now)
    if stale:
        content["stale"] = msgspec.to_builtins(stale)
    return content | {
        "reference": str(effect.reference),
        "body": body,
        "sent_at": sent_at,
        "received_at": received_at,
    }
