"""`deconflict alarms`: lists and acknowledges the alarms of a link."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.link_status import say_link
from endpoints.cli.output import console, print_indented, print_json, print_lines, typed_line
from endpoints.errors import UserError
from protocol.phrases import Phrase, phrase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from endpoints.config.settings import ProcessSettings
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis
    from protocol.wire.policy import Channel

WORDS = 3
Words = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="For keys_changed: the three words that the alarm asks for, as the other side reads them from its link "
        "file. Without them, the command asks for them.",
    ),
]
AlarmName = Annotated[str, Parameter(help="CODE/SUBJECT, as `alarms list` shows it.", negative="")]


def alarms_list(
    config: options.Config,
    /,
    *,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """List the alarms that are not both cleared and acknowledged."""
    from msgspec import to_builtins

    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import translator

    found = settings.load(config)
    chosen = found.link(link)
    document = ControlClient(found.control, chosen.id).get("alarms")
    others = chosen.content.terms.policy.channels
    document["status"] = chosen.content.terms.policy.status
    if as_json:
        if any(is_critical(alarm) for alarm in document["alarms"]):
            document["channels"] = to_builtins(others)
        print_json(document)
        return
    zone = chosen.content.zone_of(found.side)
    t = translator(lang)
    say_link(found, chosen, t)
    out = console()
    now, _ = clock(found.exercise_clock).now()
    print_alarms(out, document["alarms"], t, zone, now, document.get("keys_changed"), others)
    if not document["alarms"]:
        out.print(t("no alarms"))


def alarms_acknowledge(
    config: options.Config,
    alarm: AlarmName,
    /,
    *,
    officer: options.OfficerId,
    words: Words = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Acknowledge an alarm. It is listed until it is cleared as well."""
    from endpoints.cli.credential import obtain
    from endpoints.cli.officer_input import officer as enrolled
    from endpoints.config import settings
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import translator

    code, separator, subject = alarm.partition("/")
    if not separator:
        raise UserError(
            phrase("expected CODE/SUBJECT, as `alarms list` shows it, found {alarm}", alarm=repr(alarm[:60]))
        )
    found = settings.load(config)
    if not found.officers:
        raise UserError(_nobody(config))
    enrolled(officer, tuple(found.officers))
    client = ControlClient(found.control, found.link(link).id)
    given = " ".join(words).split() if words else _ask_words(client, code, subject, translator(lang))
    if given and len(given) != WORDS:
        raise UserError(
            phrase("--words: expected {words} words of the fingerprint, found {count}", words=WORDS, count=len(given))
        )
    ask: dict[str, Any] = {"officer": officer, "code": code, "subject": subject}
    if given:
        ask["words"] = given
    ask["credential"] = obtain(officer, credential_file, translator(lang))
    reference = client.act("acknowledge-alarm", ask)
    if as_json:
        print_json({"alarm": reference})
    else:
        print(reference)
    if code == "keys_changed":
        _remove_retired(found, translator(lang))


def _remove_retired(found: ProcessSettings, t: Translator) -> None:
    """Remove the private files of retired keys that nothing needs any more, and print a line for each."""
    from endpoints.cli.key_links import remove_retired, removed_lines

    print_lines(removed_lines(remove_retired(found), found, t), stderr=True)


def _nobody(config: Path) -> Phrase:
    """Return that the watch of `config` has no officers, and how to add one."""
    return phrase(
        "{config}: no officer is enrolled here, so nobody can acknowledge an alarm; add one: {command}",
        config=config,
        command=shlex.join(["deconflict", "officer", "add", str(config), "ID"]),
    )


def _ask_words(client: ControlClient, code: str, subject: str, t: Translator) -> list[str]:
    """Read the words that an alarm asks for from the terminal; none if it asks for none.

    Raises UserError without a terminal.
    """
    import sys

    alarms = [] if code != "keys_changed" else client.get("alarms")["alarms"]
    alarm = next((each for each in alarms if (each["code"], each["subject"]) == (code, subject)), None)
    if alarm is None or alarm.get("cleared_at"):
        return []
    first, last = alarm["words_from"], alarm["words_from"] + WORDS - 1
    if not sys.stdin.isatty():
        raise UserError(
            phrase(
                "--words: give words {first} to {last} of the new link file's fingerprint, as the other "
                "side reads them",
                first=first,
                last=last,
            )
        )
    typed = typed_line(t("words {first} to {last}, as the other side reads them: ", first=first, last=last)).split()
    if not typed:
        raise UserError(
            phrase(
                "no words were typed, and nothing changes; words {first} to {last} are needed", first=first, last=last
            )
        )
    return typed


def print_alarms(
    out: Console,
    alarms: list[dict[str, Any]],
    t: Translator,
    zone: str,
    now: Millis,
    change: dict[str, Any] | None = None,
    channels: Sequence[Channel] = (),
) -> None:
    """Print each alarm: its name, and below it its details with times on the wall clock of `zone`.

    An alarm about an old message begins with that, as of `now`. `change` is what an open alarm `keys_changed` is about.
    Below a critical alarm whose cause lasts, the other `channels` of the policy are named.
    """
    from msgspec import convert
    from rich.text import Text

    from endpoints.texts.alarm_guide import changed_keys
    from endpoints.texts.channels import channel_name
    from endpoints.texts.printable import one_line
    from endpoints.texts.wording import age_warning, local
    from protocol.core.staleness import Staleness

    for alarm in alarms:
        over, seen = alarm.get("cleared_at"), alarm.get("acknowledged_at")
        colour = "bright_black" if over else {"critical": "bold red", "major": "red"}.get(alarm["severity"], "yellow")
        what = f"{t.alarm(alarm['code'], alarm['subject'])} ({t.term('severity', alarm['severity'])})"
        name = (one_line(f"{alarm['code']}/{alarm['subject']}"), colour)
        warning = age_warning(convert(alarm.get("stale", {}), Staleness), t, now, zone)
        print_indented(out, Text.assemble((warning, "bold yellow"), name, f"  {what}"), columns=2)
        known = [t("since {when}", when=local(alarm["raised_at"], t, zone))]
        if over:
            known.append(t("cleared {when}", when=local(over, t, zone)))
        known.append(
            t("acknowledged by {officer}", officer=alarm["acknowledged_by"]) if seen else t("not acknowledged")
        )
        if alarm.get("words_from") and not over:
            known.append(
                t(
                    "compare the fingerprint by voice, then acknowledge with words {first} to {last}",
                    first=alarm["words_from"],
                    last=alarm["words_from"] + WORDS - 1,
                )
            )
        detail = t.say(alarm.get("detail") or "", alarm.get("said"))
        if change and not over and (alarm["code"], alarm["subject"]) == ("keys_changed", change["subject"]):
            detail = changed_keys(change["added"], change["removed"], change["fingerprint"], t)
        detail = "; ".join([detail, *known] if detail else known)
        print_indented(out, Text(one_line(detail)), columns=4)
    if channels and any(is_critical(alarm) for alarm in alarms):
        print_indented(out, Text(t("until a critical alarm is over, use the other channels:"), style="bold"), columns=2)
        for channel in channels:
            print_indented(out, Text(channel_name(channel, t)), columns=4)


def is_critical(alarm: Mapping[str, Any]) -> bool:
    """Return whether an alarm is critical and its cause lasts, so that the other channels are named."""
    return alarm["severity"] == "critical" and not alarm.get("cleared_at")
