"""What a page sends for an act of an officer, and how it becomes a request of the control socket.

The fields of a document are texts as they were typed, so that each mistake of a person is found by `ask`, in words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from endpoints.console.facts import Facts
from endpoints.inputs.field_error import FieldError
from endpoints.inputs.texts import check_text
from endpoints.texts.i18n import Translator
from protocol.phrases import phrase

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{8,64}$")]

CREDENTIAL_MAX = 1_024


BeginSession = Callable[[Response, str, str], Awaitable[None]]
"""Begins the session of an officer, who proves themselves with their credential, in the browser of a response."""


class Asked(NamedTuple):
    """A request of the control socket: its action, and its fields without those of every request."""

    action: str
    fields: Mapping[str, Any]


class ActDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of every act.

    Attributes:
        request: names the act; the page keeps it until it has an answer, so that asking again says nothing twice.
        credential: of the session's officer.
        seen: the digest of what the page showed.
        by: the officer whom the page names; its browser may have another one's session by now.
    """

    request: RequestId
    credential: str = ""
    seen: str = ""
    by: str = ""

    def check_credential(self) -> None:
        """Raise FieldError unless a credential was typed."""
        if not 0 < len(self.credential) <= CREDENTIAL_MAX:
            raise FieldError("credential", phrase("type your credential"))

    def officer(self, facts: Facts) -> str:
        """Return who acts: the officer of the session."""
        return facts.officer

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request of the control socket. Raises FieldError for what was typed, before anybody is asked."""
        # each act has its own: a Struct cannot have abstract methods
        raise NotImplementedError

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return in a sentence what was journaled, as `reference`."""
        raise NotImplementedError

    async def answered(self, response: Response, facts: Facts, begin: BeginSession) -> None:
        """Do what follows an act that was journaled, such as beginning another officer's session in `response`."""


def choice(field: str, value: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Return what was chosen. Raises FieldError if nothing was, or something else than the page offers."""
    if value not in known:
        raise FieldError(field, phrase("choose one"))
    return value


def texts(field: str, given: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """Return the typed texts by language, without empty ones. Raises FieldError, which names the language's field."""
    found = {}
    for language, text in given.items():
        if language not in facts.link.terms.policy.languages:
            raise FieldError(field, phrase("the link has no language {language}", language=repr(language[:8])))
        if text.strip():
            found[language] = check_text(text, option=field, language=language)
    return found


def said_to_peer(reference: str, what: str, facts: Facts, t: Translator) -> str:
    """Return the sentence that an officer has said something to the other side."""
    return t(
        "Said to {peer} as {officer}, in {reference}: {what}.",
        peer=facts.peer,
        officer=facts.officer,
        reference=reference,
        what=what,
    )


def fits(text: str, kind: Any) -> bool:
    """Return whether a text is of a type, such as Identifier."""
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def seen(document: ActDocument) -> dict[str, str]:
    """Return the digest of what the page showed, as a field of a request. Raises FieldError without one."""
    if not document.seen:
        raise FieldError("seen", phrase("this page does not say what it showed; reload it"))
    return {"seen": document.seen}
