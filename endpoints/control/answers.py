"""Makes the answers of the control socket: JSON documents, and errors with their HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from protocol.core.acts import Act, Item
from protocol.core.alarms import Alarm
from protocol.core.link_keys import KeyChange
from protocol.core.snapshot import DraftView
from protocol.phrases import Said, said
from protocol.wire.messages import Digest, Identifier

STATUS_OF = {
    "not_authorised": HTTPStatus.FORBIDDEN,
    "unknown_reference": HTTPStatus.NOT_FOUND,
    "unknown_alarm": HTTPStatus.NOT_FOUND,
    "unknown_link": HTTPStatus.NOT_FOUND,
    "bad_request": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "invalid_files": HTTPStatus.UNPROCESSABLE_ENTITY,
    "throttled": HTTPStatus.TOO_MANY_REQUESTS,
    "link_stopped": HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of an error by its code; 409 of all others."""


class Links(Struct, frozen=True):
    """The links of this process."""

    links: tuple[Identifier, ...]


class Alarms(Struct, frozen=True, omit_defaults=True):
    """The alarms of a link that are not both cleared and acknowledged."""

    alarms: tuple[Alarm, ...]
    # what the open alarm `keys_changed` is about
    keys_changed: KeyChange | UnsetType = UNSET


class Done(Struct, frozen=True):
    """What an officer's action has led to."""

    # `eucom/1/42`, `draft/3`, or what was acted on
    reference: str


class ItemAnswer(Item, frozen=True, kw_only=True):
    """An alert or a line test, and the acts on it so far."""

    # what an act on it carries as `seen` (SPEC P2.1)
    seen: Digest


class DraftAnswer(DraftView, frozen=True, kw_only=True):
    """A waiting draft, and the acts on it so far."""

    # `draft/3`
    reference: str
    # there are none while it waits
    acts: tuple[Act, ...]
    earlier: int


class RequestProblem(Struct, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    code: str
    # one line for a person
    detail: str
    # what a translated detail is made from
    said: Said | UnsetType = UNSET
    # if another officer acted first: what was done about the item, and its digest now, null if it is gone (SPEC P2.2)
    acts: tuple[Act, ...] | UnsetType = UNSET
    seen: Digest | UnsetType | None = UNSET


def json(value: Any, status_code: int = HTTPStatus.OK) -> Response:
    """Return the answer that is `value` in JSON."""
    return Response(msgspec.json.encode(value), status_code, media_type="application/json")


def error_of(status_code: int, code: str, detail: str) -> Response:
    """Return the answer of an error."""
    return refusal(status_code, told(code, detail))


def refusal(status_code: int, problem: RequestProblem) -> Response:
    """Return the answer of an error. With `busy`, the client makes room for others."""
    answer = json(problem, status_code)
    if problem.code == "busy":
        answer.headers["Connection"] = "close"
    return answer


def told(code: str, detail: str) -> RequestProblem:
    """Return the document of an error: its code, its detail, and what a translated detail was made from."""
    return RequestProblem(code, str(detail), said(detail) or UNSET)
