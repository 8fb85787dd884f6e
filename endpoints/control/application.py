"""The control socket: HTTP for the officers of this machine, in the process's own event loop.

    GET  /v1/links                               what runs here
    GET  /v1/links/LINK/status[?follow=true]     how the link stands; followed: a line for each change
    GET  /v1/links/LINK/snapshot                 the whole state
    GET  /v1/links/LINK/alarms
    GET  /v1/links/LINK/progress/REF[?within=S]  the ladder of a message of ours or of draft/N: a line for each step
    POST /v1/links/LINK/ACTION                   an officer's action (`control_requests.ACTIONS`): {"reference": ...}

Errors are JSON: {"code", "detail"}. 400 not understood, 403 not proven, 404 unknown, 409 the state does not allow it,
413 too large, 503 stopped or overloaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from endpoints.control.delivery_progress import Ladder, climb
from endpoints.control.requests import ACTIONS, Ask, AskAlarm, AskTest
from endpoints.control.status import status
from endpoints.keys.credentials import OfficerCredentials
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.loop import Loop
from endpoints.runtime.work_items import AnyLink, RequestItem
from protocol.errors import LocalProtocolError
from protocol.wire.policy import Terms

BODY_MAX_BYTES = 65_536
"""An alert's texts in four languages fit three times; nothing else comes near."""
SECONDS_MAX_DIGITS = 7
LOOK_AGAIN_S = 1.0
"""`late` comes by time alone: a followed status is looked at this often, changes or not."""
_STATUS_OF = {
    "not_authorised": HTTPStatus.FORBIDDEN,
    "unknown_reference": HTTPStatus.NOT_FOUND,
    "unknown_alarm": HTTPStatus.NOT_FOUND,
    "unknown_link": HTTPStatus.NOT_FOUND,
    "bad_request": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "link_stopped": HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}


Look = Callable[[AnyLink], tuple[Any, bool]]
"""Returns what a stream shows of a room now, None for nothing, and whether it is the end of it."""


class Control:
    """The application, over the rooms of one process.

    Without officers it is the watch's: it says nothing to anybody, so the one thing to be done there is to acknowledge
    its alarms, and whoever may open its socket may do that, in the name that he gives.
    """

    def __init__(self, loop: Loop, runners: Mapping[str, AnyLink], officers: OfficerCredentials | None) -> None:
        self._loop = loop
        self._runners = runners
        self._officers = officers
        self._closing = False
        link = "/v1/links/{link}"
        self.application = Starlette(
            routes=[
                Route("/v1/links", self._links),
                Route(link + "/status", self._status),
                Route(link + "/snapshot", self._snapshot),
                Route(link + "/alarms", self._alarms),
                Route(link + "/progress/{reference:path}", self._progress),
                Route(link + "/{action}", self._act, methods=["POST"]),
            ],
            exception_handlers={
                LocalProtocolError: self._local_error,
                HTTPException: self._http_error,
                ClientDisconnect: self._gone,
                # logged with its traceback by whoever serves this application
                Exception: self._bug,
            },
        )

    def close(self) -> None:
        """Take no more actions, and let every stream end."""
        self._closing = True
        for runner in self._runners.values():
            runner.changed.beat()

    # --- asking -------------------------------------------------------------------------------------------------

    async def _links(self, _request: Request) -> Response:
        return _json({"links": list(self._runners)})

    async def _status(self, request: Request) -> Response:
        runner = self._runner(request)
        if request.query_params.get("follow") == "true":
            return self._stream(runner.link, lambda runner: (status(runner, self._loop.now()), False))
        return _json(status(runner, self._loop.now()))

    async def _snapshot(self, request: Request) -> Response:
        return _json(self._known(request).core.snapshot())

    async def _alarms(self, request: Request) -> Response:
        return _json({"alarms": status(self._runner(request), self._loop.now()).alarms})

    async def _progress(self, request: Request) -> Response:
        runner = self._known(request)
        reference: str = request.path_params["reference"]

        def look(runner: AnyLink) -> tuple[Ladder | None, bool]:
            if runner.failure is not None:
                # the room that follows it knows what is on disk
                return None, False
            if not isinstance(runner, EndpointLink):
                raise LocalProtocolError("unknown_reference", "the watch sends no messages")
            return climb(runner, reference)

        look(runner)  # a wrong reference is an answer of its own, not a stream
        return self._stream(runner.link, look, _seconds(request.query_params.get("within")))

    def _stream(self, link: str, look: Look, within_s: float | None = None) -> Response:
        """Answer with a line of JSON now and at each change, until `look` says that it was the last.

        The link's room may become another one meanwhile; what that one does not know any more ends the stream.
        """

        async def lines() -> AsyncIterator[bytes]:
            clock = asyncio.get_running_loop()
            end_s = None if within_s is None else clock.time() + within_s
            before = b""
            while not self._closing:
                runner = self._runners[link]
                changed = runner.changed.coming
                try:
                    value, last = look(runner)
                except LocalProtocolError:
                    return
                line = before if value is None else msgspec.json.encode(value) + b"\n"
                if line != before:
                    yield line
                if last:
                    return
                before = line
                left_s = LOOK_AGAIN_S if end_s is None else end_s - clock.time()
                if left_s <= 0:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left_s, LOOK_AGAIN_S))

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    # --- acting -------------------------------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        runner = self._runner(request)
        kind = ACTIONS.get(request.path_params["action"])
        if kind is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        ask = _decode(await _body(request), kind)
        await self._authenticate(ask)
        if self._closing:
            raise LocalProtocolError("stopping", "the endpoint is stopping; ask again when it is back")
        item = RequestItem(runner, lambda now: ask.event(now, _terms(runner).policy.status))
        if not self._loop.queue.put(item):
            raise LocalProtocolError("busy", "more has arrived than can be handled; ask again in a moment")
        return _json({"reference": await item.answer})

    async def _authenticate(self, ask: Ask) -> None:
        if self._officers is None:
            if not isinstance(ask, AskAlarm):
                raise LocalProtocolError("not_authorised", "the watch says nothing to anybody: act at an endpoint")
        elif ask.officer and ask.credential:
            await self._officers.authenticate(ask.officer, ask.credential)
        elif ask.officer or ask.credential or not isinstance(ask, AskTest):
            raise LocalProtocolError("not_authorised", "an officer and his credential belong together")

    # --- errors -------------------------------------------------------------------------------------------------

    def _runner(self, request: Request) -> AnyLink:
        link: str = request.path_params["link"]
        runner = self._runners.get(link)
        if runner is None:
            raise LocalProtocolError("unknown_link", f"no link {link[:40]!r} here; links: {', '.join(self._runners)}")
        return runner

    def _known(self, request: Request) -> AnyLink:
        """Return the room that is asked for, unless it has stopped: what it knows may not be on disk."""
        runner = self._runner(request)
        if runner.failure is not None:
            raise LocalProtocolError("link_stopped", f"this link has stopped: {runner.failure.detail}")
        return runner

    async def _local_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, LocalProtocolError)
        return _error(_STATUS_OF.get(error.code, HTTPStatus.CONFLICT), error.code, error.detail)

    async def _http_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status_code = HTTPStatus(error.status_code)
        return _error(status_code, status_code.name.lower(), f"{status_code.phrase}: see the list of actions")

    async def _bug(self, _request: Request, _bug: Exception) -> Response:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "a bug of ours; the log says more")

    async def _gone(self, _request: Request, _disconnect: Exception) -> Response:
        return _error(HTTPStatus.BAD_REQUEST, "bad_request", "the request broke off")


async def _body(request: Request) -> bytes:
    """Return the request's body. Raises LocalProtocolError if it is larger than BODY_MAX_BYTES."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise LocalProtocolError("too_large", f"a request has at most {BODY_MAX_BYTES} bytes")
    return body


def _decode(body: bytes, kind: type[Ask]) -> Ask:
    """Return the action that `body` writes. Raises LocalProtocolError saying what is wrong and where.

    Some systems type an accented letter as two characters; the protocol knows only the composed form (SPEC F4.4), and
    its author must not be refused for his keyboard.
    """
    try:
        plain = msgspec.json.encode(msgspec.json.decode(body)).decode()
        return msgspec.json.decode(unicodedata.normalize("NFC", plain), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LocalProtocolError("bad_request", f"not a request of this action: {error}") from error


def _terms(runner: AnyLink) -> Terms:
    terms: Terms | None = runner.core.terms
    assert terms is not None, "a room has started before it takes anything"
    return terms


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= SECONDS_MAX_DIGITS):
        raise LocalProtocolError("bad_request", f"within: whole seconds are wanted: {text[:20]!r}")
    return float(text)


def _json(value: Any, status_code: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status_code, media_type="application/json")


def _error(status_code: int, code: str, detail: str) -> Response:
    return _json({"code": code, "detail": detail}, status_code)
