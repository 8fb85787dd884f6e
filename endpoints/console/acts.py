"""Carries out what officers do in their browsers: each act with their credential, over what its page showed.

A page sends one JSON document, and gets one (`Answer`). The console keeps nothing of a credential: the endpoint checks
it, and journals the act. What a person typed wrongly is answered before the endpoint is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response

from endpoints.console.act_document import ActDocument, BeginSession
from endpoints.console.acts_on_alarms import AcknowledgeAlarmAct
from endpoints.console.acts_on_alerts import AlertAct, DiscardAct, ReleaseAct
from endpoints.console.acts_on_messages import AcknowledgeAct, CancelAct, RefuseAct
from endpoints.console.acts_on_watch import AnswerAct, LeaveWatchAct, PlaceTestAct, TakeWatchAct
from endpoints.console.credential_attempts import THROTTLED, CredentialAttempts, Sender, TooManyAttempts
from endpoints.console.facts import Facts
from endpoints.console.log_in import WRONG
from endpoints.console.sessions import ReaderSession
from endpoints.control.answers import STATUS_OF
from endpoints.control.async_client import AsyncControlClient
from endpoints.control.client import NotRunning, RequestRefused, Unreachable
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import acts_in_words
from protocol.core.acts import Act
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, worded

AnyDocument = TypeVar("AnyDocument", bound=ActDocument)
ACTS: dict[str, type[ActDocument]] = {
    "acknowledge": AcknowledgeAct,
    "refuse": RefuseAct,
    "cancel": CancelAct,
    "alert": AlertAct,
    "release": ReleaseAct,
    "discard": DiscardAct,
    "test": PlaceTestAct,
    "answer": AnswerAct,
    "take-watch": TakeWatchAct,
    "leave-watch": LeaveWatchAct,
    "acknowledge-alarm": AcknowledgeAlarmAct,
}
"""The acts of `POST /links/LINK/acts/ACT`."""
_OWN_WORDS = {
    THROTTLED: worded(TooManyAttempts()),
    "unknown_alarm": phrase("this alarm is not listed any more: somebody has acknowledged it, and it is over"),
}
"""What the console says of a refusal in place of the endpoint's words, which are of the command line."""
_UNKNOWN = {"link_stopped", "stopping", "internal_error", "refused"}
"""Refusals after which the act may be in the journal all the same: a disk that fails may have kept it."""
ANSWER_WITHIN_S = 30.0
"""Longer than a credential waits for its check."""


class ActAnswer(Struct, frozen=True, kw_only=True):
    """The answer to an act that was journaled: in a sentence, and as which message, draft or alarm."""

    said: str
    reference: str


class Refused(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to an act that was not carried out.

    Attributes:
        error: a code, mostly the control socket's.
        why: the reason, in the page's language.
        field: the name of the field that is wrong.
        happened: what others did meanwhile, a line for each of their acts.
        unknown: the answer of the endpoint was lost, so that it may have been carried out.
    """

    error: str
    why: str
    field: str = ""
    happened: tuple[str, ...] = ()
    unknown: bool = False


class ActFailed(Exception):  # noqa: N818 - names an outcome
    """An act was not carried out, or that is not known; it carries the status and the document of the answer."""

    def __init__(self, status: HTTPStatus, answer: Refused) -> None:
        super().__init__(answer.error)
        self.status = status
        self.answer = answer


class Acts:
    """The acts of one console."""

    def __init__(
        self, control: Path, attempts: CredentialAttempts, acts: Mapping[str, type[ActDocument]] = ACTS
    ) -> None:
        """Prepare it.

        Args:
            control: the endpoint's socket.
            attempts: the queue of credentials.
            acts: the documents, by the name of their act.
        """
        self._control = control
        self._attempts = attempts
        self._acts = acts

    async def perform(
        self,
        name: str,
        body: bytes,
        facts: Facts,
        session: str,
        sender: Sender,
        t: Translator,
        begin: BeginSession,
    ) -> Response:
        """Carry out the act `name`; return the answer. Raises ActFailed.

        Args:
            name: the act.
            body: the document, in JSON.
            facts: what is known of the link.
            session: the id of the officer's session.
            sender: whose browser it is.
            t: the language of the page.
            begin: begins the session of an officer who takes over this browser.
        """
        kind = self._acts.get(name)
        if kind is None:
            raise refused(HTTPStatus.NOT_FOUND, "unknown_act", phrase("there is no such act"), t)
        document = document_of(body, kind, t)
        if document.by not in {"", facts.officer}:
            why = phrase(
                "nothing was said: {officer} has logged in here meanwhile; reload the page", officer=facts.officer
            )
            raise refused(HTTPStatus.FORBIDDEN, "another_officer", why, t)
        _check_current(facts, t)
        try:
            asked = document.ask(facts, t)
            document.check_credential()
        except FieldError as wrong:
            raise refused(HTTPStatus.BAD_REQUEST, "bad_request", wrong.why, t, field=_name(wrong)) from None
        request = {
            **asked.fields,
            "request": document.request,
            "officer": document.officer(facts),
            "credential": document.credential,
            "session": session,
        }
        try:
            reference = await self._post(facts.settings.id, asked.action, request, sender)
        except RequestRefused as error:
            raise _by_endpoint(error, t) from None
        except Unreachable as error:
            unknown = not isinstance(error, NotRunning)
            lost = Refused(error="unanswered", why=t.say(worded(error)), unknown=unknown)
            raise ActFailed(HTTPStatus.SERVICE_UNAVAILABLE, lost) from None
        except (TooManyAttempts, LocalProtocolError) as error:
            raise refused(HTTPStatus.TOO_MANY_REQUESTS, THROTTLED, worded(error), t) from None
        done = ActAnswer(said=document.said(reference, facts, t), reference=reference)
        response = _json(HTTPStatus.OK, done)
        await document.answered(response, facts, begin)
        return response

    async def _post(self, link: str, action: str, request: dict[str, Any], sender: Sender) -> str:
        """Ask the endpoint; return the reference of what it journaled."""
        async with self._attempts.turn(sender) as attempt:
            try:
                async with AsyncControlClient(self._control, ANSWER_WITHIN_S) as client:
                    reference: str = (await client.post(link, action, request))["reference"]
            except RequestRefused as error:
                if error.code == WRONG:
                    attempt.failed()
                raise
        return reference


def document_of(body: bytes, kind: type[AnyDocument], t: Translator) -> AnyDocument:
    """Return the document of a page. Raises ActFailed if no page of this console has made it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        why = phrase("this is not the console's own form; reload the page")
        raise refused(HTTPStatus.BAD_REQUEST, "bad_request", why, t) from None


def officers_session(session: ReaderSession | None, content_type: str, t: Translator) -> ReaderSession:
    """Return the session of the officer who acts. Raises ActFailed unless it is one's, and the request is JSON."""
    if session is None:
        why = phrase("this session has ended: log in again; what was typed stays here")
        raise refused(HTTPStatus.UNAUTHORIZED, "signed_out", why, t)
    if not session.officer:
        why = phrase("only an officer who has logged in can act")
        raise refused(HTTPStatus.FORBIDDEN, "not_authorised", why, t)
    if content_type.partition(";")[0].strip() != "application/json":
        why = phrase("this is not the console's own form")
        raise refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad_request", why, t)
    return session


def refused(status: HTTPStatus, error: str, why: str, t: Translator, field: str = "") -> ActFailed:
    """Return that an act was not carried out."""
    return ActFailed(status, Refused(error=error, why=t.say(why), field=field))


def failure(failed: ActFailed) -> Response:
    """Return the answer of an act that failed."""
    return _json(failed.status, failed.answer)


def _json(status: HTTPStatus, answer: ActAnswer | Refused) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(answer), status, media_type="application/json", headers=headers)


def _name(wrong: FieldError) -> str:
    """Return the name of the field in the page: that of a text ends in its language."""
    return f"{wrong.field}.{wrong.language}" if wrong.language else wrong.field


def _check_current(facts: Facts, t: Translator) -> None:
    """Raise ActFailed unless the endpoint answers: an act over what it said earlier would be a guess."""
    if facts.condition.current:
        return
    why = phrase("nothing was said: the endpoint does not answer")
    detail = t.say(facts.condition.detail, facts.condition.made_from)
    raise refused(HTTPStatus.SERVICE_UNAVAILABLE, "not_current", f"{t.say(why)}: {detail}" if detail else why, t)


def _by_endpoint(error: RequestRefused, t: Translator) -> ActFailed:
    """Return that the endpoint has refused an act, with what others did first."""
    happened = tuple(acts_in_words(msgspec.convert(error.acts or (), tuple[Act, ...]), t))
    first = phrase("nothing was said: somebody acted first")
    why = first if happened else _OWN_WORDS.get(error.code, worded(error))
    field = "credential" if error.code == WRONG else ""
    unknown = error.code in _UNKNOWN
    answer = Refused(error=error.code, why=t.say(why), field=field, happened=happened, unknown=unknown)
    return ActFailed(STATUS_OF.get(error.code, HTTPStatus.CONFLICT), answer)
