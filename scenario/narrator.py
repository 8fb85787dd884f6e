"""Prints the events and the result of a scenario, in English or Russian, in colour on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.texts.i18n import Translator
from endpoints.texts.story import Storyteller, Tone
from protocol.core.events import BatchClosed
from protocol.record.journal import Record
from protocol.wire.instants import Millis, parsed
from scenario.expect import Comparison
from scenario.final_audit import FinalAudit
from scenario.steps import Crash, Cut, LeaveUnanswered, Mend, Nothing, Restart, Scenario, Start, Step, Stop

_COLOURS: dict[Tone, str] = {
    "plain": "",
    "said": "bold",
    "heard": "cyan",
    "quiet": "dim",
    "bad": "red",
    "good": "green",
}
_WORLD_COLOUR = "yellow"


class Narrator:
    """Prints a scenario's events: on each line, the local time of both sites, the side and what happened."""

    def __init__(self, scenario: Scenario, console: Console, t: Translator) -> None:
        self._scenario = scenario
        self._console = console
        self._t = t
        self._day = ""
        self._several = bool(scenario.further_links)
        self._links_width = max(len(each.id) for each in scenario.links)
        self._tellers: dict[tuple[str, str], Storyteller] = {}
        self._width = max(
            len(name) for name in (*(party.id for party in scenario.parties), WATCH_IDENTITY, Scenario.BROKER)
        )

    def title(self) -> None:
        """Print the scenario's name and the sites whose local times precede each line."""
        t, scenario = self._t, self._scenario
        names = " - ".join(party.name.get(t.language) or next(iter(party.name.values())) for party in scenario.parties)
        self._console.print(Text(f"{scenario.name}: {names}", style="bold"))
        sites = " | ".join(party.site for party in scenario.parties)
        self._console.print(Text(t("local times: {sites}", sites=sites), style="dim"))

    def console_of(self, side: str, address: str, officer: str, credential: Path) -> None:
        """Print where the console of a side is, and how to log in there."""
        t = self._t
        self._console.print(Text(t("console of {side}: {address}", side=side, address=address), style="bold"))
        log_in = t(
            "  log in as {officer}, with the credential in {file}", officer=officer, file=shlex.quote(str(credential))
        )
        self._console.print(Text(log_in), soft_wrap=True)

    def held(self) -> None:
        """Print that the scenario is over and that everything goes on running."""
        t = self._t
        text = t("The scenario is over. Time runs at its real speed; Ctrl-C stops all processes.")
        self._console.print(Text(text, style="bold"))

    def record(self, record: Record) -> None:
        """Print the events of a record. Of the watch, only alarms are printed: the endpoints report the rest."""
        if isinstance(record.entry, BatchClosed):
            return
        teller = self._tellers.setdefault((record.link, record.side), Storyteller(self._t))
        for told in teller.tell(record):
            if record.side != WATCH_IDENTITY or told.tone in {"bad", "good"}:
                self._line(told.at, record.side, told.who, told.what, _COLOURS[told.tone], record.link)

    def step(self, step: Step) -> None:
        """Print a step, if no journal records it."""
        t = self._t
        match step:
            case LeaveUnanswered():
                what = t("nobody will answer the test of {slot}", slot=t.instant(parsed(step.slot), "UTC"))
            case Nothing():
                what = step.what
            case Crash():
                what = t("the endpoint is killed (kill -9)")
            case Restart():
                what = t("the endpoint is started again")
            case Stop():
                what = t("the broker is stopped")
            case Start():
                what = t("the broker is started again")
            case Cut():
                what = t("the broker carries nothing of {link} any more", link=self._scenario.link_of(step))
            case Mend():
                what = t("the broker carries {link} again", link=self._scenario.link_of(step))
            case _:
                return
        self._line(step.instant, step.side, step.side, what, _WORLD_COLOUR)

    def _line(self, at: Millis, side: str, who: str, what: str, style: str, link: str = "") -> None:
        t = self._t
        caller, answering = self._scenario.parties
        day = t.instant(at, caller.zone).rpartition(",")[0]
        if day != self._day:
            self._day = day
            self._console.print(Text(day, style="bold"))
        heading = f"{t.time(at, caller.zone)} | {t.time(at, answering.zone)}  {side:<{self._width}}  "
        said = what if who == side else f"{who}: {what}"
        if self._several:
            said = f"{link:<{self._links_width}}  {said}"
        self._console.print(Text(heading, style="dim") + Text(said, style=style))

    # --- the end --------------------------------------------------------------------------------------------------

    def closing(self, closing: FinalAudit, seconds: float) -> None:
        """Print the result of the final audit."""
        t = self._t
        self._console.print()
        journals = Table(t("journal"), t("records"), t("signatures"), "", box=None, pad_edge=False, header_style="dim")
        for each in closing.journals:
            state = (
                t("intact, replayed identically") if each.sound else "; ".join(_wrong(each.problems, each.divergence))
            )
            name = f"{each.link}: {each.journal}" if self._several else each.journal
            journals.add_row(name, str(each.records), str(each.signatures), _verdict(state, good=each.sound))
        self._console.print(journals)
        messages = t.plural("{count} message", "{count} messages", closing.messages)
        agreed = (
            t("reconciled, both sides agree: {messages}", messages=messages)
            if closing.agree
            else t("reconciled, the sides disagree: {messages}", messages=messages)
        )
        self._console.print(_verdict(agreed, good=closing.agree))
        self._console.print()
        for link, findings in groupby(closing.findings, lambda finding: finding.link):
            self._findings(link if self._several else "", findings)
        self._console.print()
        took = t("{seconds} s", seconds=f"{seconds:.1f}")
        verdict = t("The scenario ended as it must.") if closing.passed else t("The scenario did not end as it must.")
        self._console.print(_verdict(f"{verdict} ({took})", good=closing.passed))
        hint = t("The officers' console in a browser, on a running exercise: make console (deconflict demo --console)")
        self._console.print(Text(hint, style="dim"))

    def _findings(self, link: str, findings: Iterable[Comparison]) -> None:
        """Print what a link was expected to show, below its id where there are several."""
        t = self._t
        table = Table(link, t("expected"), t("found"), "", box=None, pad_edge=False, header_style="dim")
        for finding in findings:
            table.add_row(
                self._what(finding),
                self._value(finding.expected),
                self._value(finding.found),
                _verdict(t("as expected") if finding.met else t("NOT AS EXPECTED"), good=finding.met),
            )
        self._console.print(table)

    def _what(self, finding: Comparison) -> str:
        t = self._t
        match finding.what:
            case "slots":
                return t("slots of line tests")
            case "answered_in_time":
                return t("tests answered in time")
            case "late":
                return t("missed first, made good later")
            case "unanswered":
                return t("tests that nobody answered")
            case "alerts_from":
                return t("alerts from {side}", side=finding.about)
            case "messages_from":
                return t("messages from {side}", side=finding.about)
            case "alerts_between":
                return t("alerts on {day}", day=finding.about)
            case "alarms_at_least":
                return t("alarm: {alarm}", alarm=t.term("alarm", finding.about))
            case "lost":
                return t("messages lost")
            case "applied_twice":
                return t("messages applied twice")
            case _:
                return t("both journals agree")

    def _value(self, value: Any) -> str:
        t = self._t
        match value:
            case bool():
                return t("yes") if value else t("no")
            case list():
                zone = self._scenario.link.caller.zone
                return ", ".join(t.instant(parsed(each), zone) for each in value) or t("none")
            case _:
                return str(value)


def _wrong(problems: tuple[str, ...], divergence: str | None) -> list[str]:
    return [*problems, *([] if divergence is None else [divergence])]


def _verdict(text: str, *, good: bool) -> Text:
    return Text(text, style="green" if good else "bold red")
