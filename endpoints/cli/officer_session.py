"""What all commands of an officer do: find the endpoint, ask for the credential, act, and wait if wanted."""

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
    Parameter(help="Wait until the other side's machine has received it, or an officer there has acknowledged it."),
]
Timeout = Annotated[str, Parameter(help="How long to wait. After it: exit 10, and the message stands.")]
Ref = Annotated[str, Parameter(help="A message such as eucom/1/42, or draft/3.", negative="")]

_FINAL = {"refused", "changed", "undelivered"}


class OfficerSession:
    """One officer at one link of a running endpoint."""

    def __init__(self, client: ControlClient, officer: str | None, credential: str | None) -> None:
        self.client = client
        self._proof = {} if officer is None else {"officer": officer, "credential": credential}

    @classmethod
    def at(cls, config: Path, link: str | None, officer: str | None, credential_file: Path | None) -> OfficerSession:
        """Return the desk at a link of the endpoint of `config`. Raises UserError for wrong files."""
        from endpoints.config.settings import load_endpoint
        from endpoints.control.client import ControlClient

        settings = load_endpoint(config)
        chosen = settings.link(link)
        credential = None if officer is None else obtain(officer, credential_file)
        return cls(ControlClient(settings.control, chosen.id), officer, credential)

    def act(self, action: str, ask: dict[str, Any]) -> str:
        """Do it; return its reference."""
        return self.client.act(action, {**self._proof, **ask})

    def finish(self, reference: str, t: Translator, *, wait: Rung | None, within_s: int, as_json: bool) -> int:
        """Print the reference, then the ladder as it is climbed. Return the exit code."""
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
        say(t("not yet {wait} after {time}; the message stands", wait=t.term("step", wait), time=write_s(within_s)))
        return EXIT_NOT_YET


def rung(ladder: dict[str, Any], step: str, t: Translator) -> str:
    """Return one step of a ladder in words."""
    words = f"{ladder['reference']}: {t.term('step', step)}"
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
    """Return the seconds that the option writes. Raises UserError."""
    try:
        return parse_s(text)
    except ValueError as error:
        raise UserError(f"--{option}: {error}") from None
