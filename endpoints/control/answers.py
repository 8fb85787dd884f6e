"""Makes the answers of the control socket: JSON documents, and errors with their HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from protocol.phrases import said

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


def json(value: Any, status_code: int = HTTPStatus.OK) -> Response:
    """Return the answer that is `value` in JSON."""
    return Response(msgspec.json.encode(value), status_code, media_type="application/json")


def error_of(status_code: int, code: str, detail: str) -> Response:
    """Return the answer of an error."""
    return refusal(status_code, told(code, detail))


def refusal(status_code: int, document: dict[str, Any]) -> Response:
    """Return the answer of an error with its document. With `busy`, the client makes room for others."""
    answer = json(document, status_code)
    if document["code"] == "busy":
        answer.headers["Connection"] = "close"
    return answer


def told(code: str, detail: str) -> dict[str, Any]:
    """Return the document of an error: its code, its detail, and what a translated detail was made from."""
    made_from = said(detail)
    return {"code": code, "detail": str(detail)} | ({} if made_from is None else {"said": made_from})
