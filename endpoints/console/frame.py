"""What stands around every screen: exercise or actual, the state of the link, the clocks, the menu, what is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from endpoints.clocks import slots
from endpoints.console.condition import Condition
from endpoints.console.facts import Facts
from endpoints.console.history import Meanwhile
from endpoints.console.screen import Screen
from endpoints.texts.i18n import Translator
from protocol.core.alarms import Severity
from protocol.wire.instants import Millis, parsed, written

Level = Literal["critical", "serious", "caution", "normal", "standby", "unknown"]
"""How urgent something is; `unknown` is never shown as normal."""

WORDS = {"exercise": "EXERCISE · УЧЕНИЕ", "actual": "ACTUAL · РЕАЛЬНО"}
"""What the frame says, in both languages, on every screen and page."""
REPLAY_WORD = "REPLAY {time} — not now · ПОВТОР {time} — не сейчас"
"""What it says beside that of a past instant."""
TITLES = {"exercise": {"en": "EX", "ru": "УЧ"}, "actual": {"en": "ACTUAL", "ru": "РЕАЛЬНО"}}
LEVELS: dict[str, Level] = {
    "fine": "normal",
    "unproven": "caution",
    "late": "serious",
    "alarm": "critical",
    "unknown": "unknown",
}
"""The level of each state of a link."""
SEVERITY_LEVELS: dict[Severity, Level] = {"critical": "critical", "major": "serious", "warning": "caution"}
"""The level of an alarm."""


class WallClock(Struct, frozen=True, kw_only=True):
    """The wall clock of one place: its time of day, its offset from UTC in minutes, its date where that differs."""

    place: str
    time: str
    offset_min: int
    date: str


class MenuEntry(Struct, frozen=True, kw_only=True):
    """One screen in the menu."""

    name: str
    title: str
    key: str
    here: bool


class Banner(Struct, frozen=True, kw_only=True):
    """What is wrong with the news on the screen, in words; with `channels`, the other channels are one click away."""

    name: str
    level: Level
    head: str
    since: Millis | None
    detail: str
    channels: bool = False


class Frame(Struct, frozen=True, kw_only=True):
    """The frame around a screen; `replay` says which past instant it shows, and that it is not now."""

    status: Literal["exercise", "actual"]
    word: str
    title_prefix: str
    link: str
    links: tuple[str, ...]
    level: Level
    state: str
    date: str
    now: Millis
    rate: int
    clocks: tuple[WallClock, ...]
    next_slot: str | None
    # None while nobody has it, or while that is not known
    on_watch: str | None
    watch_known: bool
    banners: tuple[Banner, ...]
    menu: tuple[MenuEntry, ...]
    replay: str = ""


def frame_of(facts: Facts, screen: Screen, screens: Iterable[Screen], links: Iterable[str], t: Translator) -> Frame:
    """Return the frame of `screen`; `links` are the ids of all links of this console."""
    replayed = facts.replayed
    if replayed is not None and replayed.then is not None:
        return _past(replayed.then, frame_of(replayed.then, screen, screens, links, t), t)
    purpose = facts.link.terms.policy.status
    status = facts.status
    state = status.state if status is not None and facts.condition.current else "unknown"
    return Frame(
        status=purpose,
        word=WORDS[purpose],
        title_prefix=f"[{TITLES[purpose][t.language]}]",
        link=facts.settings.id,
        links=tuple(links),
        level=LEVELS[state],
        state=t.term("state", state),
        date=t.instant(facts.now, "UTC").partition(", ")[0],
        now=facts.now,
        rate=facts.rate,
        clocks=tuple(_clocks(facts, t)),
        next_slot=None if status is None else status.next_slot,
        on_watch=None if status is None or status.on_watch is None else status.on_watch.officer,
        # a link that has stopped does not say
        watch_known=facts.snapshot is not None,
        banners=tuple(_banners(facts, t)),
        menu=tuple(
            MenuEntry(name=each.name, title=t.fixed(each.title), key=each.key, here=each.name == screen.name)
            for each in screens
            if each.menu and facts.role in each.roles
        ),
    )


def _past(then: Facts, frame: Frame, t: Translator) -> Frame:
    """Return the frame of a past instant: its word says which, and nothing is shown as fine."""
    word = REPLAY_WORD.format(time=t.time(then.now, "UTC"))
    quiet = then.condition.state == "replayed" and frame.level == "unknown"
    return replace(
        frame,
        word=f"{frame.word} · {word}",
        title_prefix=f"{frame.title_prefix} {t('REPLAY {time} — not now', time=t.time(then.now, 'UTC'))} ·",
        state=t("nothing recorded against it") if quiet else frame.state,
        replay=word,
    )


def _clocks(facts: Facts, t: Translator) -> Iterable[WallClock]:
    places = [("UTC", "UTC")]
    places += [(party.site, party.zone) for party in facts.link.parties.values()]
    today = written(facts.now)[:10]
    for place, zone in places:
        local = slots.local(facts.now, zone)
        offset = local.utcoffset()
        yield WallClock(
            place=place,
            time=t.time(facts.now, zone),
            offset_min=0 if offset is None else int(offset.total_seconds() // 60),
            date="" if local.date().isoformat() == today else t.instant(facts.now, zone).partition(", ")[0],
        )


def _banners(facts: Facts, t: Translator) -> Iterable[Banner]:
    """Yield which part of the way from the broker to this screen is gone."""
    heads = {
        "unheard": t("The endpoint has not answered yet."),
        "endpoint_gone": t("The endpoint does not answer. What is below is its last word."),
        "link_stopped": t("This link has stopped: its journal cannot be written."),
        "broker_gone": t("No connection to the broker: nothing goes out, nothing comes in."),
        "absent": t(
            "Nothing shows that the endpoint was at work at this instant. What is below is its last word before."
        ),
    }
    condition, watch = facts.condition, facts.watch
    if condition.state in heads:
        yield Banner(
            name=condition.state,
            level="critical",
            head=heads[condition.state],
            since=condition.since,
            detail=_detail(condition, t),
            channels=True,
        )
    answers = watch is not None and watch.condition.current and watch.status is not None
    if condition.state == "endpoint_gone" and answers:
        assert watch is not None
        assert watch.status is not None
        head = t("The independent watch says: {state}", state=t.term("state", watch.status.state))
        yield Banner(name="watch-says", level=LEVELS[watch.status.state], head=head, since=None, detail="")
    if watch is not None and not watch.condition.current:
        head = t("The independent watch does not answer.")
        detail = _detail(watch.condition, t)
        yield Banner(name="watch", level="serious", head=head, since=watch.condition.since, detail=detail)


def _detail(condition: Condition, t: Translator) -> str:
    return t.say(condition.detail, condition.made_from)


def meanwhile_words(counts: Meanwhile, t: Translator) -> list[str]:
    """Return in words what was recorded in an interval."""
    if not counts.messages and not counts.alarms:
        return [t("nothing was recorded")]
    words = [
        t.plural("{count} message", "{count} messages", counts.messages),
        t.plural("{count} alert among them", "{count} alerts among them", counts.alerts) if counts.alerts else "",
        t.plural("{count} alarm", "{count} alarms", counts.alarms),
    ]
    return [each for each in words if each]


def until_words(at: str, now: Millis) -> str:
    """Return how long it is until the instant `at`: `0:12:48`; with a sign if it is past."""
    left = parsed(at) - now
    return f"{'+' if left < 0 else ''}{duration_words(left)}"


def duration_words(length_ms: Millis) -> str:
    """Return a length of time as hours, minutes and seconds: `0:12:48`."""
    seconds = abs(length_ms) // 1_000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
