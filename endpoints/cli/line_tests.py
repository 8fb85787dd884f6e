"""The commands for line tests: test, answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import officer_input, options
from endpoints.cli.officer_session import OfficerSession, Ref, seen_field
from endpoints.cli.output import print_lines, print_reference, say, terminal_width, typed_line
from endpoints.errors import UserError
from endpoints.texts.read_back import WORDS, split_words, wrong_word
from protocol.phrases import Phrase, phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

_TRIES_MAX = 10
"""How often one field is asked for again."""

MaybeOfficer = Annotated[
    str | None,
    Parameter(
        name="--officer",
        env_var="DECONFLICT_OFFICER",
        help="The officer who places the test: required while a slot is open whose test officers place.",
    ),
]
Words = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="The test's three words, in any case of letters. Without them, the command asks for them.",
    ),
]
AnswerText = Annotated[
    str | None,
    Parameter(name="--text", help="The answer, in the test's language; by default this side's own, else the policy's."),
]


def line_test(
    config: options.EndpointConfig,
    /,
    *,
    officer: MaybeOfficer = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Place a line test: for the open slot if officers place the tests, else an unscheduled one."""
    from endpoints.texts.i18n import translator
    from endpoints.texts.wording import moment

    t = translator(lang)
    session = OfficerSession.at(config, link, officer, credential_file)
    slot = _open_slot(session)
    if slot is not None:
        due = moment(slot, t, session.zone)
        if officer is None:
            raise UserError(
                t(
                    "--officer: the line test of {slot} is due, and an officer has to place it: one of {officers}",
                    slot=due,
                    officers=", ".join(session.officers),
                )
            )
        say(t("the line test of {slot} is placed by {officer}", slot=due, officer=officer))
    # a slot that opens or ends meanwhile is another test than the officer means
    print_reference(session.act("test", {"slot": slot}, t), as_json=as_json)


def _open_slot(session: OfficerSession) -> str | None:
    """Return the slot whose test an officer of this side has to place now, None if there is none (SPEC W1.3)."""
    import msgspec

    from endpoints.control.open_items import slot_to_place
    from protocol.core.snapshot import Snapshot

    view = msgspec.convert(session.client.get("snapshot"), Snapshot)
    return slot_to_place(view, session.policy, session.now())


def answer(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    words: Words = None,
    text: AnswerText = None,
    seen: options.Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Answer a line test by retyping its three words. On a terminal, the test is shown first."""
    from endpoints.inputs.texts import check_text
    from endpoints.texts.i18n import translator

    t = translator(lang)
    of = officer_input.reference(ref)
    session = OfficerSession.at(config, link, officer, credential_file)
    said = {} if text is None else {"text": check_text(text, option="text")}
    if words is None and not sys.stdin.isatty():
        raise UserError(phrase("--words: there is no terminal to ask for the three words; give them with --words"))
    test = _test(session, of)
    if sys.stderr.isatty():
        _show(test, t)
    read = _read(test["heartbeat"]["challenge"], None if words is None else " ".join(words), t)
    print_reference(session.act("answer", {"of": of, "words": read, **said, **seen_field(seen)}, t), as_json=as_json)


def _test(session: OfficerSession, of: str) -> dict[str, Any]:
    """Return the line test of the other side. Raises UserError, which names those that wait for an answer."""
    tests = [
        each for each in session.client.get("snapshot")["tests"] if not each["reference"].startswith(f"{session.side}/")
    ]
    found = next((each for each in tests if each["reference"] == of), None)
    if found is not None:
        test: dict[str, Any] = found
        return test
    waiting = ", ".join(each["reference"] for each in tests if each["answer"] is None)
    raise UserError(
        phrase(
            "{of} is no line test of the other side; without an answer: {waiting}",
            of=of,
            waiting=waiting or phrase("none"),
        )
    )


def _show(test: dict[str, Any], t: Translator) -> None:
    """Show a line test: what makes it old news, its text, and its words."""
    from endpoints.texts.printable import barred, one_line
    from endpoints.texts.wording import age_warning
    from protocol.core.staleness import staleness
    from protocol.wire.instants import parsed

    arrived = parsed(test["at"])
    heartbeat = test["heartbeat"]
    warning = age_warning(staleness(None, test["sent_at"], arrived, arrived), t, arrived)
    lines = [*([f"! {warning.removesuffix(': ')}"] if warning else []), t("line test {of}:", of=test["reference"])]
    lines += barred(heartbeat["text"], terminal_width(stderr=True))
    lines += [t("its three words: {words}", words="  ".join(map(one_line, heartbeat["challenge"])))]
    print_lines(lines, stderr=True)


def _read(challenge: Sequence[str], typed: str | None, t: Translator) -> list[str]:
    """Return the words of a test, as it has them, once they were typed.

    At a terminal, a wrong word is asked for again, and no other. Raises UserError elsewhere, or if nothing is typed.
    """
    given = [] if typed is None else split_words(typed)
    for _ in range(_TRIES_MAX):
        if len(given) == WORDS:
            break
        if typed is not None:
            _complain(
                phrase("--words: expected the {count} words of the test, found {found}", count=WORDS, found=len(given)),
                t,
            )
        given = split_words(typed := _typed(t("the three words: ")))
    else:
        raise UserError(phrase("the three words were not typed, and nothing was sent"))
    for place, word in enumerate(challenge):
        for _ in range(_TRIES_MAX):
            if (why := wrong_word(place + 1, given[place], word)) is None:
                break
            _complain(why, t)
            again = split_words(_typed(t("word {number}: ", number=place + 1)))
            given[place] = " ".join(again)
        else:
            raise UserError(phrase("the three words were not typed, and nothing was sent"))
    return list(challenge)


def _complain(why: Phrase, t: Translator) -> None:
    """Say what is wrong with a word that is asked for again. Raises UserError without a terminal."""
    if not sys.stdin.isatty():
        raise UserError(why)
    say(t.say(why))


def _typed(question: str) -> str:
    line = typed_line(question)
    if not line:
        raise UserError(phrase("the three words were not typed, and nothing was sent"))
    return line
