"""Reads what browsers send: the query of an address, a form, a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from protocol.phrases import phrase

FORM_MAX_FIELDS = 16
QUERY_MAX_BYTES = 2_000
DIGITS_MAX = 15


def number(text: str) -> bool:
    """Return whether a text is a number that fits into a record."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def query(request: Request) -> Mapping[str, str]:
    """Return the query of the address; of a name that is repeated, the last value."""
    try:
        return dict(parse_qsl(request.url.query[:QUERY_MAX_BYTES], max_num_fields=32))
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, phrase("there is no such page")) from None


def cookie(request: Request, name: str) -> str:
    """Return the value of a cookie, empty if there is none; also if there are two: a browser keeps one of a name."""
    pairs = (part.partition("=") for header in request.headers.getlist("cookie") for part in header.split(";"))
    values = [value.strip() for key, _, value in pairs if key.strip() == name]
    return values[0] if len(values) == 1 else ""


async def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form. Raises HTTPException if it is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, phrase("this is not the console's own form"))
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=FORM_MAX_FIELDS))
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, phrase("this is not the console's own form")) from None
