"""Runs an officer's command: finds the endpoint, obtains the credential, acts, and waits for delivery."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from msgspec import structs

from endpoints.cli.credential import obtain
from endpoints.cli.officer_input import officer as enrolled
from endpoints.cli.output import print_json, print_lines, say, terminal_width, typed_line
from endpoints.clocks.clock import clock
from endpoints.config.durations import parse_s, write_s
from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.refusals import MessageRefusal

if TYPE_CHECKING:
    from endpoints.config.settings import EndpointSettings, LinkSettings
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import Translator
    from endpoints.texts.item_page import ItemPage
    from protocol.wire.instants import Millis

EXIT_NOT_YET = 10
EXIT_REFUSED = 11

Rung = Literal["received", "acknowledged"]
Wait = Annotated[
    Rung | None,
    Parameter(help="Wait until the other side's machine has received the message, or its officer acknowledged it."),
]
Timeout = Annotated[str, Parameter(help="How long to wait; after that, the exit code is 10 and delivery continues.")]
Ref = Annotated[str, Parameter(help="A message such as eucom/1/42, or a draft such as draft/3.", negative="")]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FINAL = {"refused", "changed", "cancelled", "undelivered", "discarded", "expired", "author_removed"}
_YES = {"y", "yes", "д", "да"}


class OfficerSession:
    """One officer's session at one link of a running endpoint."""

    def __init__(
        self,
        client: ControlClient,
        found: EndpointSettings,
        chosen: LinkSettings,
        officer: str | None,
        file: Path | None,
    ) -> None:
        self.client = client
        self.side, self.link = found.side, chosen.id
        # the time zone of this side's wall clocks
        self.zone = chosen.content.zone_of(found.side)
        # and those of all sites, this one's first
        self.zones = chosen.content.zones_from(found.side)
        self.policy, self.caller = chosen.content.terms.policy, chosen.content.terms.caller
        self.officers = tuple(found.officers)
        self._config, self._choosing = found.path, found.choosing(chosen.id)
        self._clock = clock(found.exercise_clock)
        if officer is not None:
            enrolled(officer, self.officers)
        self._officer = officer
        # without a file, the prompt comes last, when the officer knows what they confirm
        self._credential = None if officer is None or file is None else obtain(officer, file)

    @classmethod
    def at(
        cls, config: Path, link: str | None, officer: str | None = None, credential_file: Path | None = None
    ) -> OfficerSession:
        """Return a session at a link of the endpoint of `config`. Raises UserError for wrong files or the watch's."""
        from endpoints.config import settings
        from endpoints.control.client import ControlClient

        found = settings.load(config)
        if not isinstance(found, settings.EndpointSettings):
            raise UserError(
                phrase("{file}: the watch accepts no officer commands; run this against an endpoint", file=str(config))
            )
        chosen = found.link(link)
        return cls(ControlClient(found.control, chosen.id), found, chosen, officer, credential_file)

    def now(self) -> Millis:
        """Return the current instant of the endpoint's clock."""
        return self._clock.now()[0]

    def show(self, page: ItemPage, t: Translator) -> bool:
        """Show a page on standard error, and return whether that is a terminal: elsewhere nothing is shown."""
        from endpoints.texts.item_page import item_lines

        if not sys.stderr.isatty():
            return False
        print_lines(item_lines(page, t, self.zones, terminal_width(stderr=True)), stderr=True)
        return True

    def show_alert(self, reference: str, t: Translator) -> None:
        """On a terminal, show the alert that the officer is about to act on, before the credential is asked for."""
        if not sys.stderr.isatty():
            return
        from msgspec import convert

        from endpoints.texts.items import alert_page
        from protocol.core.snapshot import Snapshot

        page = alert_page(convert(self.client.get("snapshot"), Snapshot), reference, t, self.now())
        if page is not None:
            self.show(page, t)

    def others(self, author: str) -> list[str]:
        """Return the officers enrolled here who may release a draft of `author`: nobody, if they were removed."""
        return [officer for officer in self.officers if officer != author] if author in self.officers else []

    def may_release(self, draft: dict[str, Any], t: Translator) -> str:
        """Return in words who may release a draft, and until when."""
        from protocol.wire.instants import parsed

        if draft["officer"] not in self.officers:
            return _author_removed(draft["officer"], t)
        others = self.others(draft["officer"])
        if not others:
            return t("no other officer is enrolled here, so nobody can release it")
        until = t.instant(parsed(draft["expires_at"]), "UTC")
        return t("{officers} may release it until {when} UTC", officers=", ".join(others), when=until)

    def page(self, draft: dict[str, Any], t: Translator) -> ItemPage:
        """Return the page of a draft, with the text of the alert that it changes and who may release it."""
        from endpoints.control.client import RequestRefused
        from endpoints.texts.items import changed_alert, draft_page

        of, target = changed_alert(draft["item"]), {}
        if of is not None:
            # an alert that is closed for long is no longer known
            with suppress(RequestRefused):
                target = self.client.get(f"items/{of}")["item"]["text"]
        return structs.replace(draft_page(draft, t, target), warnings=(self.may_release(draft, t),))

    def act(self, action: str, ask: dict[str, Any], t: Translator) -> str:
        """Perform an action of the control socket; return its reference. Ask for the credential first.

        Raises RequestRefused. If another officer acted first, what they did is printed on standard error, with `t`.
        """
        from endpoints.control.client import RequestRefused

        proof = {}
        if self._officer is not None:
            proof = {"officer": self._officer, "credential": self._credential or obtain(self._officer, None, t)}
        try:
            return self.client.act(action, {**proof, **ask})
        except RequestRefused as refused:
            if refused.acts:
                _say_acts(refused.acts, t)
            self._say_channels(refused.code, t)
            raise

    def _say_channels(self, reason: str | None, t: Translator) -> None:
        """Name the other channels after a refusal as out of scope."""
        from endpoints.texts.channels import other_channels

        if reason == MessageRefusal.OUT_OF_SCOPE and (line := other_channels(self.policy.channels, t)):
            say(line)

    def confirmed(
        self, ref: str, seen: str | None, question: str, t: Translator, *, yes: bool, of_another: bool
    ) -> str | None:
        """Return the digest of draft `ref` as the officer has seen it, None if they decided against acting on it.

        At a terminal, the draft is shown, and `question` asked. `yes` asks nothing, and needs `seen`. With
        `of_another`, its author must be another officer.

        Raises UserError where neither is possible, and RequestRefused if the draft does not wait any more.
        """
        from endpoints.texts.item_page import item_lines

        if yes and seen is None:
            raise UserError(
                phrase("--yes: give --seen as well, with the digest of what the officer has read: deconflict drafts")
            )
        if yes:
            return seen
        draft = self.client.get(f"items/{ref}")
        if of_another and draft["officer"] == self._officer:
            raise UserError(
                phrase("{officer} wrote {ref}: another officer must release it", officer=self._officer, ref=ref)
            )
        if of_another and draft["officer"] not in self.officers:
            raise UserError(
                phrase(
                    "{officer}, who wrote {draft}, is not enrolled any more: discard it, and write the alert again",
                    officer=draft["officer"],
                    draft=ref,
                )
            )
        if not sys.stdin.isatty():
            raise UserError(
                phrase(
                    "{ref}: there is no terminal to show it and to ask; read it with deconflict drafts, "
                    "then give --seen DIGEST --yes",
                    ref=ref,
                )
            )
        page = self.page(draft, t)
        print_lines(item_lines(page, t, self.zones, terminal_width(stderr=True)), stderr=True)
        if seen is not None and seen != page.seen:
            raise UserError(phrase("--seen: {ref} is not what this digest stands for; it is shown above", ref=ref))
        if agreed(question, t):
            return page.seen
        say(t("nothing was done"))
        return None

    def finish(self, reference: str, t: Translator, *, wait: Rung | None, within_s: int, as_json: bool) -> int:
        """Print the reference, then each step of the delivery ladder as it is reached. Return the exit code."""
        draft = self._announced(reference, t, as_json=as_json)
        if wait is None:
            return 0
        shown: list[str] = []
        with closing(self.client.follow(f"progress/{reference}", within_s)) as ladders:
            for ladder in ladders:
                if as_json:
                    print_json(ladder)
                elif draft and ladder["reference"] != draft:
                    say(_released(draft, ladder, t))
                    draft = None
                for step in ladder["steps"]:
                    if step not in shown:
                        shown.append(step)
                        if not as_json:
                            say(rung(ladder, step, t))
                            self._say_channels((ladder.get("reply") or {}).get("reason"), t)
                if wait in shown:
                    return 0
                if _FINAL & set(shown):
                    return EXIT_REFUSED
        time = write_s(within_s)
        if shown == ["held"]:
            say(t("not released after {time}: nothing was sent yet, and the draft still waits", time=time))
        else:
            say(t("not yet {wait} after {time}; the message is not lost", wait=t.term("step", wait), time=time))
        return EXIT_NOT_YET

    def _announced(self, reference: str, t: Translator, *, as_json: bool) -> str | None:
        """Print what a request led to. Of a draft, say that nothing was sent, and who may release it; return it."""
        from endpoints.control.client import RequestRefused

        if not as_json:
            print(reference, flush=True)
        row: dict[str, Any] = {"reference": reference}
        held = parse_draft(reference) is not None
        try:
            draft = self.client.get(f"items/{reference}") if held else None
        except RequestRefused:
            # another officer has decided about it meanwhile
            draft = None
        if draft is not None:
            row |= {"sent": False, "may_release": self.others(draft["officer"]), "expires_at": draft["expires_at"]}
            words = ["release", str(self._config), reference, *self._choosing, "--officer", "ID"]
            command = shlex.join(["deconflict", *words])
            say(t("{draft}: nothing was sent yet; it waits for a second officer", draft=reference))
            say(self.may_release(draft, t))
            say(t("to read and release it: {command}", command=command))
        if as_json:
            print_json(row)
        return reference if held else None


def agreed(question: str, t: Translator) -> bool:
    """Ask a question at the terminal; return whether it was confirmed."""
    return typed_line(f"{question} {t('[y/N]')} ").lower() in _YES


def _say_acts(acts: Sequence[dict[str, Any]], t: Translator) -> None:
    """Print what others did first, a line for each act."""
    import msgspec

    from endpoints.texts.item_page import acts_in_words
    from protocol.core.acts import Act

    for line in acts_in_words(msgspec.convert(acts, tuple[Act, ...]), t):
        say(line)


def _author_removed(officer: str, t: Translator) -> str:
    return t("{officer}, who wrote it, is not enrolled here any more: it can only be discarded", officer=officer)


def _released(draft: str, ladder: dict[str, Any], t: Translator) -> str:
    """Return in words that a draft was released, by whom and as what."""
    officer = ladder["draft_end"]["officer"]
    return t(
        "{draft}: released by {officer} as {reference}", draft=draft, officer=officer, reference=ladder["reference"]
    )


def parse_draft(ref: str) -> int | None:
    """Return 3 for `draft/3`, None for any other reference. Raises UserError for `draft/x`."""
    kind, _, number = ref.partition("/")
    if kind != "draft":
        return None
    if not (number.isascii() and number.isdecimal() and int(number[:9])):
        raise UserError(phrase("expected a draft such as draft/3, found {found}", found=repr(ref[:60])))
    return int(number[:9])


def rung(ladder: dict[str, Any], step: str, t: Translator) -> str:
    """Return the words for one step of a ladder."""
    words = f"{ladder['reference']}: {t.term('step', step)}"
    if step in ("changed", "cancelled"):
        return f"{words} ({t('by {reference}', reference=ladder['changed_by'])})" if "changed_by" in ladder else words
    reply = ladder.get("reply") or {}
    if step not in ("acknowledged", "refused", "answered"):
        return words
    said = [
        *([reply["officer"]] if "officer" in reply else []),
        *([t.term("decision", reply["decision"])] if "decision" in reply else []),
        *([t.term("reason", reply["reason"])] if "reason" in reply else []),
        *([t("referred to {channel}", channel=reply["referral"])] if "referral" in reply else []),
    ]
    return f"{words} ({', '.join(said)})" if said else words


def seen_field(seen: str | None) -> dict[str, str]:
    """Return the digest of what the officer saw as a field of a request, if it is given. Raises UserError."""
    if seen is None:
        return {}
    if not _DIGEST.fullmatch(seen):
        raise UserError(
            phrase("--seen: expected the 64 digits that show or drafts printed, found {found}", found=repr(seen[:80]))
        )
    return {"seen": seen}


def seconds(option: str, text: str) -> int:
    """Return the value of the option `--option` in seconds. Raises UserError."""
    try:
        return parse_s(text)
    except ValueError:
        raise UserError(
            phrase(
                "--{option}: expected a duration such as 30s, 10m, 2h or 7d, found {found}",
                option=option,
                found=repr(text[:40]),
            )
        ) from None
