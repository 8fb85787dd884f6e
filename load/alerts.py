"""The alerts of a load test: of status `test`, of one size, each with its own number in its text."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec
from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.control.requests import AskAlert
from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire import canonical, envelope
from protocol.wire.envelope import SIGNATURE_BYTES, SUITE_ALGORITHMS
from protocol.wire.messages import MESSAGE_TYPE, Alert, Category, Message, MessagePayload, Precedence, Text

TEXT_MAX_CHARS = 4_000
EXPIRES_IN_S = 86_400
MARK = "LOAD TEST"
"""What the text of each alert of a load test begins with."""
_DIGITS = 9
_PRECEDENCES: tuple[Precedence, ...] = ("routine", "priority", "immediate", "flash")


class Template(Struct, frozen=True, kw_only=True):
    """What all alerts of a run share.

    Attributes:
        run: the run's id, which distinguishes its alerts from all others in a journal.
        officer: who raises them.
        category, precedence, languages: as the link's policy admits them.
        chars: the length of the text in each language.
    """

    run: str
    officer: str
    category: Category
    precedence: Precedence
    languages: tuple[str, ...]
    chars: int

    def ask(self, number: int, credential: str) -> AskAlert:
        """Return the request that raises alert `number` of the run."""
        text = self.text(number)
        return AskAlert(
            request=f"{self.run}-{number:0{_DIGITS}}",
            officer=self.officer,
            credential=credential,
            category=self.category,
            precedence=self.precedence,
            text=dict.fromkeys(self.languages, text),
            expires_in_s=EXPIRES_IN_S,
            status="test",
        )

    def text(self, number: int) -> Text:
        """Return the text of alert `number`."""
        return f"{mark(self.run)}{number:0{_DIGITS}}".ljust(self.chars, ".")


def mark(run: str) -> str:
    """Return what the text of each alert of a run begins with."""
    return f"{MARK} {run} "


def number_in(text: str, run: str) -> int | None:
    """Return the number of the alert of `run` that has this text, None if it is another's."""
    begin = mark(run)
    digits = text[len(begin) : len(begin) + _DIGITS]
    return int(digits) if text.startswith(begin) and digits.isascii() and digits.isdigit() else None


def template(run: str, file: LinkFile, officer: str, size_bytes: int) -> Template:
    """Return the template of alerts whose frames, one alert in each, have `size_bytes` bytes at least.

    Raises UserError if every alert needs a second officer, or `size_bytes` is out of range.
    """
    policy = file.terms.policy
    alone = [each for each in _PRECEDENCES if each not in policy.four_eyes]
    if not alone:
        raise UserError(
            phrase(
                "link {link}: every alert needs a second officer here (four_eyes), so a load test can't raise any",
                link=file.terms.link,
            )
        )
    languages = policy.languages
    made = Template(
        run=run, officer=officer, category=policy.categories[0], precedence=alone[0], languages=languages, chars=0
    )
    shortest = len(made.text(0))
    least = frame_bytes(made, file)
    most = frame_bytes(msgspec.structs.replace(made, chars=TEXT_MAX_CHARS), file)
    if not least <= size_bytes <= most:
        raise UserError(
            phrase(
                "--size: {size} bytes; a frame with one alert of this link has {least} to {most}",
                size=size_bytes,
                least=least,
                most=most,
            )
        )
    lengths = range(shortest, TEXT_MAX_CHARS + 1)
    place = bisect_left(
        lengths, size_bytes, key=lambda chars: frame_bytes(msgspec.structs.replace(made, chars=chars), file)
    )
    return msgspec.structs.replace(made, chars=lengths[place])


def frame_bytes(made: Template, file: LinkFile) -> int:
    """Return the size of a frame that carries one alert, and no receipt."""
    terms = file.terms
    utc, digest = "2022-11-29T12:00:00.000Z", "0" * 64
    alert = Alert(
        status="test",
        category=made.category,
        precedence=made.precedence,
        event_at=utc,
        expires_at=utc,
        text=dict.fromkeys(made.languages, made.text(0)),
        released_by=(made.officer,),
    )
    body: dict[str, Any] = msgspec.to_builtins(alert)
    payload = MessagePayload(
        link=terms.link,
        epoch=terms.epoch,
        sender=terms.caller,
        recipient=terms.answering,
        policy=digest,
        floor=1_000,
        messages=(Message(1_000, digest, utc, body),),
    )
    signatures = [("ed25519-00000000", bytes(SIGNATURE_BYTES[each])) for each in SUITE_ALGORITHMS[terms.policy.suite]]
    return len(envelope.seal(MESSAGE_TYPE, canonical.encode(payload), signatures))
