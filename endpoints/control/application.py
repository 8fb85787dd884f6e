"""The HTTP application of the control socket, for the officers of this machine.

    GET  /v1/links                               the links of this process
    GET  /v1/links/LINK/status[?follow=true]     the link's status; followed: one line for each change
    GET  /v1/links/LINK/snapshot                 the whole `Snapshot`
    GET  /v1/links/LINK/events[?after=N]         its state at each change, a beat each second (`event_stream.EventLine`)
    GET  /v1/links/LINK/alarms
    GET  /v1/links/LINK/items/REF                a draft, an alert or a line test, the acts on it, and `seen`
    GET  /v1/links/LINK/progress/REF[?within=S]  the delivery ladder of a message sent here or a draft: a line per step
    POST /v1/links/LINK/ACTION                   an officer's action (`requests.ACTIONS`): {"reference": ...}
    POST /v1/console                             what a console says of its screens (`requests.ConsoleTold`)
    POST /v1/reload                              read the files of the process anew (`Reloaded`), without a body

Errors are JSON: {"code", "detail"}, and {"said"}, what a translated detail is made from (`protocol.phrases`); with
{"acts", "seen"} if another officer acted first (SPEC P2.2). 400 malformed,
403 not authenticated, 404 unknown, 409 not allowed in this state, 413 too large, 422 files that cannot be used, 429 too
many wrong credentials, 503 link stopped or process overloaded. It runs in the event loop of the process.

A reload takes no credential: who may open the socket may also change the files and restart the process. So do a
console's words about its screens, and the sessions of boards and investigators.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from zlib import crc32

from msgspec import UNSET, structs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from endpoints.clocks.clock import Clock
from endpoints.control.answers import (
    STATUS_OF,
    Alarms,
    Done,
    DraftAnswer,
    ItemAnswer,
    Links,
    error_of,
    json,
    refusal,
    told,
)
from endpoints.control.delivery_progress import Ladder, climb
from endpoints.control.event_stream import EventFeed
from endpoints.control.present_state import PresentState
from endpoints.control.request_body import decode_request
from endpoints.control.requests import ACTIONS, Ask, AskLogIn, AskLogOut, AskTest, ConsoleTold
from endpoints.control.status import Status, status
from endpoints.control.streams import Show, Streams
from endpoints.keys.attempt_throttle import Caller
from endpoints.keys.officer_credentials import OfficerCredentials, WrongCredential
from endpoints.runtime.console_screens import ConsoleCounts, ConsoleScreens
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.loop import Loop
from endpoints.runtime.reloading import Reloaded
from endpoints.runtime.work_items import RequestItem, WrongCredentialItem
from endpoints.texts.printable import printable
from protocol.core.acts import ActedFirstError
from protocol.core.drafts import ended_draft
from protocol.core.environment import CONSOLE
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, rephrased

BODY_MAX_BYTES = 65_536
"""Three times an alert with texts in four languages, which is the largest request."""
SECONDS_MAX_DIGITS = 7
NUMBER_MAX_DIGITS = 16
"""Of the number of a record."""
NO_OFFICERS = phrase(
    "no officer is enrolled here, so nobody can acknowledge an alarm; add one: {command}",
    command="deconflict officer add CONFIG ID",
)
"""Only a watch may have no officers."""


class Control:
    """The application, over the links of one process."""

    def __init__(
        self,
        loop: Loop,
        runners: Mapping[str, AnyRunner],
        officers: OfficerCredentials,
        clock: Clock,
        actions: Mapping[str, type[Ask]],
        reload: Callable[[], Awaitable[Reloaded]],
        screens: ConsoleScreens,
    ) -> None:
        """Make it.

        Args:
            loop: takes the requests.
            runners: the running links.
            officers: authenticates those who act.
            clock: the machine's clocks, or an exercise's.
            actions: those that this process takes, by name: all of `requests.ACTIONS`, or some.
            reload: takes over changed files; raises LocalProtocolError.
            screens: what is known of consoles.
        """
        self._loop = loop
        self._runners = runners
        self._officers = officers
        self._actions = actions
        self._reload_files = reload
        self._screens = screens
        self._present = PresentState()
        self._closing = False
        feed = EventFeed(self._present, self._status_of, loop.now, clock.rate, clock.real_ms)
        self._streams = Streams(runners, feed, clock.real_ms)
        link = "/v1/links/{link}"
        self.application = Starlette(
            routes=[
                Route("/v1/links", self._links),
                Route(link + "/status", self._status),
                Route(link + "/snapshot", self._snapshot),
                Route(link + "/events", self._events),
                Route(link + "/alarms", self._alarms),
                Route(link + "/items/{reference:path}", self._item),
                Route(link + "/progress/{reference:path}", self._progress),
                Route(link + "/{action}", self._act, methods=["POST"]),
                Route("/v1/console", self._console, methods=["POST"]),
                Route("/v1/reload", self._reload, methods=["POST"]),
            ],
            exception_handlers={
                LocalProtocolError: self._local_error,
                HTTPException: self._http_error,
                ClientDisconnect: self._gone,
                # the server logs it with its traceback
                Exception: self._bug,
            },
        )

    def close(self) -> None:
        """Refuse further actions and end every stream."""
        self._closing = True
        self._streams.close()

    # --- asking -------------------------------------------------------------------------------------------------

    async def _links(self, _request: Request) -> Response:
        return json(Links(tuple(self._runners)))

    async def _status(self, request: Request) -> Response:
        runner = self._runner(request)
        if request.query_params.get("follow") == "true":
            return self._streams.follow(runner.link, self._changes())
        return json(self._status_of(runner))

    def _changes(self) -> Show:
        """Return what follows a status. That a second has passed since the peer was heard is no change."""
        before: list[Status] = []

        def show(runner: AnyRunner) -> tuple[Status | None, bool]:
            found = self._status_of(runner)
            lasting = structs.replace(found, presence_age_s=None)
            if before == [lasting]:
                return None, False
            before[:] = [lasting]
            return found, False

        return show

    async def _snapshot(self, request: Request) -> Response:
        return json(self._present.of(self._known(request)))

    async def _events(self, request: Request) -> Response:
        after = request.query_params.get("after")
        known = None if after is None else _number("after", after, NUMBER_MAX_DIGITS)
        return self._streams.events(self._runner(request).link, known)

    async def _alarms(self, request: Request) -> Response:
        found = self._status_of(self._runner(request))
        return json(Alarms(found.alarms, found.keys_changed))

    async def _item(self, request: Request) -> Response:
        reference: str = request.path_params["reference"]
        snapshot = self._present.of(self._known(request))
        item = snapshot.item(reference)
        if item is None and (end := snapshot.drafts_ended.get(reference)) is not None:
            raise ended_draft(reference, end)
        if item is None:
            raise LocalProtocolError(
                "unknown_reference",
                phrase(
                    "{reference} is no draft, alert or line test that is kept here", reference=printable(reference)[:60]
                ),
            )
        for draft in snapshot.drafts:
            if draft.draft == reference:
                return json(
                    DraftAnswer(**structs.asdict(draft), reference=reference, acts=item.acts, earlier=item.earlier)
                )
        return json(ItemAnswer(**structs.asdict(item), seen=item.seen))

    def _status_of(self, runner: AnyRunner) -> Status:
        unopened = runner.failure is not None and runner.core.terms is None
        return status(None if unopened else self._present.of(runner), runner.gauges(), self._loop.now())

    async def _progress(self, request: Request) -> Response:
        runner = self._known(request)
        reference: str = request.path_params["reference"]

        def show(runner: AnyRunner) -> tuple[Ladder | None, bool]:
            if runner.failure is not None:
                # only the runner that replaces it knows what is on disk
                return None, False
            return climb(self._present.of(runner), runner.gauges(), reference)

        show(runner)  # a wrong reference is an error response, not a stream
        within = request.query_params.get("within")
        within_s = None if within is None else float(_number("within", within, SECONDS_MAX_DIGITS))
        return self._streams.follow(runner.link, show, within_s)

    # --- acting -------------------------------------------------------------------------------------------------

    async def _reload(self, _request: Request) -> Response:
        return json(await self._reload_files())

    async def _console(self, request: Request) -> Response:
        said = decode_request(await _body(request), ConsoleTold)
        counts = ConsoleCounts(said.sessions, said.screens, said.armed)
        self._screens.told(said.console, counts, closing=said.closing)
        return json({})

    async def _act(self, request: Request) -> Response:
        runner = self._runner(request)
        action = request.path_params["action"]
        if action not in ACTIONS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        kind = self._actions.get(action)
        if kind is None:
            raise LocalProtocolError(
                "not_authorised", phrase("the watch accepts no officer commands; run this against an endpoint")
            )
        ask = decode_request(await _body(request), kind)
        await self._authenticate(runner, ask, request)
        if self._closing:
            raise LocalProtocolError(
                "stopping", phrase("the endpoint is stopping; repeat the command once it runs again")
            )
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        # another runner may have taken its place in the meantime
        item = RequestItem(self._runners[runner.link], ask.event, reply, ask.check)
        if not self._loop.queue.put(item):
            raise LocalProtocolError(
                "busy", phrase("the endpoint has more to do than it can queue; repeat the command in a moment")
            )
        return json(Done(await reply))

    async def _authenticate(self, runner: AnyRunner, ask: Ask, request: Request) -> None:
        """Return if `ask` may be carried out. Raises LocalProtocolError; a wrong credential goes into the journal."""

        async def abandoned() -> bool:
            return self._closing or await request.is_disconnected()

        if isinstance(ask, AskLogOut) or (isinstance(ask, AskLogIn) and ask.role != "officer"):
            return
        if not self._officers.enrolled:
            raise LocalProtocolError("not_authorised", NO_OFFICERS)
        if ask.officer and ask.credential:
            caller = _caller(request)
            if ask.session is not UNSET:
                # guesses from browsers slow down no officer at a prompt; the console tells browsers apart
                caller = Caller(f"{caller.source}/{CONSOLE}", crc32(ask.session.encode()))
            try:
                await self._officers.authenticate(ask.officer, ask.credential, caller, abandoned)
            except WrongCredential as wrong:
                self._loop.queue.push(WrongCredentialItem(self._runners[runner.link], wrong.source))
                raise
        elif ask.officer or ask.credential or not isinstance(ask, AskTest):
            raise LocalProtocolError("not_authorised", phrase("this action needs both an officer and their credential"))

    # --- errors -------------------------------------------------------------------------------------------------

    def _runner(self, request: Request) -> AnyRunner:
        link: str = request.path_params["link"]
        runner = self._runners.get(link)
        if runner is None:
            raise LocalProtocolError(
                "unknown_link",
                phrase(
                    "this process has no link {link}; its links: {runners}; one that was added takes effect at the "
                    "next start",
                    link=repr(link[:40]),
                    runners=", ".join(self._runners),
                ),
            )
        return runner

    def _known(self, request: Request) -> AnyRunner:
        """Return the requested link. Raises LocalProtocolError if it has stopped: its state may not be on disk."""
        runner = self._runner(request)
        if runner.failure is not None:
            raise LocalProtocolError(
                "link_stopped",
                phrase("this link has stopped: {detail}", detail=rephrased(runner.failure.detail, runner.failure.said)),
            )
        return runner

    async def _local_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, LocalProtocolError)
        answer = told(error.code, error.detail)
        if isinstance(error, ActedFirstError):
            seen = error.item.seen if error.item.item else None
            answer = structs.replace(answer, acts=error.item.acts, seen=seen)
        return refusal(STATUS_OF.get(error.code, HTTPStatus.CONFLICT), answer)

    async def _http_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status_code = HTTPStatus(error.status_code)
        return error_of(
            status_code,
            status_code.name.lower(),
            phrase(
                "{status}: no such resource, method or action of the control socket",
                status=f"{status_code} {status_code.phrase}",
            ),
        )

    async def _bug(self, _request: Request, _bug: Exception) -> Response:
        return error_of(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", phrase("a bug in this process; its log has the details")
        )

    async def _gone(self, _request: Request, _disconnect: Exception) -> Response:
        return error_of(
            HTTPStatus.BAD_REQUEST,
            "bad_request",
            phrase("the client closed the connection before the request was complete"),
        )


def _caller(request: Request) -> Caller:
    """Return where the request comes from; `ControlServer` sets it."""
    return Caller("unknown", 0) if request.client is None else Caller(request.client.host, request.client.port)


async def _body(request: Request) -> bytes:
    """Return the request's body. Raises LocalProtocolError if it is larger than BODY_MAX_BYTES."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise LocalProtocolError(
                "too_large", phrase("the request is larger than {limit} bytes", limit=BODY_MAX_BYTES)
            )
    return body


def _number(name: str, text: str, digits: int) -> int:
    """Return the whole number in the query parameter `name`. Raises LocalProtocolError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= digits):
        raise LocalProtocolError(
            "bad_request", phrase("{name}: expected a whole number, found {text}", name=name, text=repr(text[:20]))
        )
    return int(text)
