"""Runs an officer's command: finds the endpoint, obtains the credential, acts, and waits for delivery."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from endpoints.cli.credential import obtain
from endpoints.cli.output import print_json, say
from endpoints.config.durations import parse_s, write_s
from endpoints.errors import UserError

if TYPE_CHECKING:
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import Translator

EXIT_NOT_YET = 10
EXIT_REFUSED = 11

Rung = Literal["received", "acknowledged"]
Wait = Annotated[
    Rung | None,
    Parameter(help="Wait until the other side's machine has received the message, or its officer acknowledged it."),
]
Timeout = Annotated[str, Parameter(help="How long to wait; after that, the exit code is 10 and delivery continues.")]
Ref = Annotated[str, Parameter(help="A message such as eucom/1/42, or a draft such as draft/3.", negative="")]

_FINAL = {"refused", "changed", "cancelled", "undelivered"}


class OfficerSession:
    """One officer's session at one link of a running endpoint."""

    def __init__(self, client: ControlClient, officer: str | None, credential: str | None) -> None:
        self.client = client
        self._proof = {} if officer is None else {"officer": officer, "credential": credential}

    @classmethod
    def at(cls, config: Path, link: str | None, officer: str | None, credential_file: Path | None) -> OfficerSession:
        """Return a session at a link of the endpoint of `config`. Raises UserError for wrong files or the watch's."""
        from endpoints.config import settings
        from endpoints.control.client import ControlClient

        found = settings.load(config)
        if not isinstance(found, settings.EndpointSettings):
            raise UserError(f"{config}: the watch accepts no officer commands; run this against an endpoint")
        chosen = found.link(link)
        credential = None if officer is None else obtain(officer, credential_file)
        return cls(ControlClient(found.control, chosen.id), officer, credential)

    def act(self, action: str, ask: dict[str, Any]) -> str:
        """Perform an action of the control socket; return its reference."""
        return self.client.act(action, {**self._proof, **ask})

    def finish(self, reference: str, t: Translator, *, wait: Rung | None, within_s: int, as_json: bool) -> int:
        """Print the reference, then each step of the delivery ladder as it is reached. Return the exit code."""
        if as_json:
            print_json({"reference": reference})
        else:
            print(reference, flush=True)
        if wait is None:
            return 0
        shown: list[str] = []
        with closing(self.client.follow(f"progress/{reference}", within_s)) as ladders:
            for ladder in ladders:
                if as_json:
                    print_json(ladder)
                for step in ladder["steps"]:
                    if step not in shown:
                        shown.append(step)
                        if not as_json:
                            say(rung(ladder, step, t))
                if wait in shown:
                    return 0
                if _FINAL & set(shown):
                    return EXIT_REFUSED
        say(
            t("not yet {wait} after {time}; the message is not lost", wait=t.term("step", wait), time=write_s(within_s))
        )
        return EXIT_NOT_YET


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


def seconds(option: str, text: str) -> int:
    """Return the value of the option `--option` in seconds. Raises UserError."""
    try:
        return parse_s(text)
    except ValueError as error:
        raise UserError(f"--{option}: {error}") from None
