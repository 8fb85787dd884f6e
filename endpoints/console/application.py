"""The HTTP application of the console.

    GET  /                              the board of the first link
    GET  /links/LINK/SCREEN[/REST]      a screen; with the header X-Live, only the part of it that changes
    POST /links/LINK/acts/ACT           an officer's act, in JSON: see `acts`
    POST /links/LINK/acts/preview       an alert that is being written, as its reader will see it; it says nothing
    GET  /stream                        server-sent events: a beat each second, and one at each change
    GET  /board-link/TOKEN              begins the session of a one-time link
    GET  /log-in, POST /log-in          an officer's session, proven at the endpoint
    POST /log-out
    POST /settings                      how this browser shows the console
    GET  /meanwhile                     what happened while a page was without news
    POST /sounding                      how many pages a browser has open, and whether they can sound
    GET  /static/NAME
    GET  /healthz                       whether the console itself is alive

Everything but the last two needs a session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from endpoints.console import answers, browser_requests, pages
from endpoints.console.acts import ActFailed, Acts, document_of, failure, officers_session
from endpoints.console.composing import TypedAlert
from endpoints.console.cookies import Cookies
from endpoints.console.credential_attempts import Sender
from endpoints.console.frame import WORDS, frame_of, meanwhile_words, until_words
from endpoints.console.guard import Guard
from endpoints.console.listeners import Listeners
from endpoints.console.log_in import LogIn
from endpoints.console.paper import paper_of
from endpoints.console.preferences import Preferences, from_cookie
from endpoints.console.present_links import PresentLinks
from endpoints.console.preview import preview
from endpoints.console.replays import Replays
from endpoints.console.screen import NoSuchThing, Screen
from endpoints.console.screens import SCREENS
from endpoints.console.sessions import ReaderSession, Sessions
from endpoints.console.stream import BrowserStreams
from endpoints.texts.i18n import translator
from protocol.errors import LinkError, LocalProtocolError
from protocol.phrases import phrase, worded

COOKIE_S = 366 * 86_400
"""The server decides when a session ends."""
OWN_PATH = re.compile(r"/([\w.~%-][\w.~%/?&=+:,-]*)?", re.ASCII)
LIVE_HEADER = "x-live"


class Console:
    """The application over the news of all links."""

    def __init__(
        self,
        present: PresentLinks,
        sessions: Sessions,
        log_in: LogIn,
        acts: Acts,
        listeners: Listeners,
        origin: str,
        screens: Iterable[Screen] = SCREENS,
    ) -> None:
        """Make it.

        Args:
            present: what is known of the links.
            sessions: who reads.
            log_in: proves an officer's credential.
            acts: carries out what officers do.
            listeners: which browsers can sound.
            origin: where browsers reach the console.
            screens: in the order of the menu.
        """
        self._present = present
        self._sessions = sessions
        self._log_in = log_in
        self._acts = acts
        self._screens = {screen.name: screen for screen in screens}
        self._cookies = Cookies(present.side, present.links)
        self._streams = BrowserStreams(present)
        self._replays = Replays()
        self._listeners = listeners
        everything = Starlette(
            routes=[
                Route("/", self._start),
                Route("/links/{link}/acts/preview", self._preview, methods=["POST"]),
                Route("/links/{link}/acts/{act}", self._act, methods=["POST"]),
                Route("/links/{link}/{screen}", self._screen),
                Route("/links/{link}/{screen}/{rest:path}", self._screen),
                Route("/stream", self._stream),
                Route("/board-link/{token}", self._board_link),
                Route("/log-in", self._log_in_page),
                Route("/log-in", self._log_in_form, methods=["POST"]),
                Route("/log-out", self._log_out, methods=["POST"]),
                Route("/settings", self._settings, methods=["POST"]),
                Route("/meanwhile", self._meanwhile),
                Route("/sounding", self._sounding, methods=["POST"]),
                Route("/static/{name}", answers.static),
                Route("/healthz", answers.alive),
                # else a path with another slash would be led to one without, at an address that the server makes up
                Route("/{path:path}", self._nowhere),
            ],
            exception_handlers={
                ActFailed: _act_failed,
                NoSuchThing: self._nothing,
                LocalProtocolError: self._malformed,
                LinkError: self._failed,
                HTTPException: self._http_error,
                ClientDisconnect: answers.gone,
                # the server logs it with its traceback
                Exception: answers.bug,
            },
        )
        self.application: ASGIApp = Guard(everything, origin)

    def close(self) -> None:
        """End every stream."""
        self._streams.close()

    # --- reading --------------------------------------------------------------------------------------------------

    async def _nowhere(self, request: Request) -> Response:
        del request
        raise NoSuchThing(phrase("there is no such page"))

    async def _start(self, request: Request) -> Response:
        del request
        return answers.to(pages.address(self._present.links[0], next(iter(self._screens))))

    async def _screen(self, request: Request) -> Response:
        live = LIVE_HEADER in request.headers
        session = self._session(request)
        if session is None:
            return answers.signed_out() if live else answers.to("/log-in")
        look = self._look(request)
        t = translator(look.lang)
        screen = self._screens.get(request.path_params["screen"])
        link = self._link(request.path_params["link"])
        if screen is None:
            raise NoSuchThing(phrase("there is no such page; the menu has all that there are"))
        if session.role not in screen.roles:
            raise HTTPException(HTTPStatus.FORBIDDEN, t("this session may not see this page"))
        rest = request.path_params.get("rest", "")
        facts = await self._present.facts(link, session, look, rest, with_history=screen.reads_history)
        query = browser_requests.query(request)
        facts = await self._replays.shown(facts, screen, query)
        if rest in screen.downloads:
            return answers.download(screen.downloads[rest](facts, query, t), head=request.method == "HEAD")
        page = pages.render(
            screen.name,
            layout="base.html",
            live_only=live,
            view=screen.view(facts, query, t),
            facts=facts,
            frame=frame_of(facts, screen, self._screens.values(), self._present.links, t),
            session=session,
            paper=paper_of(facts),
            look=look,
            sites=facts.sites,
            t=t,
            **self._common(facts.settings.id),
        )
        return answers.page(page)

    async def _meanwhile(self, request: Request) -> Response:
        """Return what happened while a page was without news, for that page."""
        query = browser_requests.query(request)
        link, after, since = (query.get(name, "") for name in ("link", "after", "since"))
        if self._session(request) is None:
            return answers.signed_out()
        if link not in self._present.links or not all(map(browser_requests.number, (after, since))):
            raise NoSuchThing(phrase("there is no such page"))
        t = translator(self._look(request).lang)
        counts = await self._present.between(link, int(after))
        page = pages.render(
            "meanwhile",
            t=t,
            since=t.time(int(since), "UTC"),
            until=t.time(self._present.now(), "UTC"),
            counts=None if counts is None else meanwhile_words(counts, t),
        )
        return answers.page(page)

    async def _sounding(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return answers.signed_out()
        form = await browser_requests.form(request)
        self._listeners.tell(session.id, form.get("pages", ""), form.get("armed", ""))
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"cache-control": "no-store"})

    async def _stream(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return answers.signed_out()
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return self._streams.response(session, lambda: self._session(request) is not None)

    def _common(self, link: str) -> dict[str, object]:
        """Return what every template may use."""
        return {**pages.tools(link), "until": until_words, "version": self._present.version_of(link)}

    # --- acting ---------------------------------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        """Carry out an officer's act, over what their page showed."""
        look = self._look(request)
        session, t = self.acting(request), translator(look.lang)
        link = self._link(request.path_params["link"])
        facts = await self._present.facts(link, session, look, "", with_history=False)
        body = await request.body()

        async def begin(response: Response, officer: str, credential: str) -> None:
            await self._hand_over(request, response, officer, credential)

        act, sender = request.path_params["act"], self._sender(request)
        return await self._acts.perform(act, body, facts, session.id, sender, t, begin)

    async def _hand_over(self, request: Request, response: Response, officer: str, credential: str) -> None:
        """End the session of a browser, and begin that of the officer who takes over its watch.

        If theirs can't begin, they log in themselves.
        """
        with suppress(LinkError):
            session = self._session(request)
            if session is not None:
                await self._log_in.end(session, "handover")
            token = await self._log_in.begin(officer, credential, self._sender(request))
            self._begin(request, token, response)

    async def _preview(self, request: Request) -> Response:
        """Return what is being written as the other side will see it, and what is wrong with it."""
        look = self._look(request)
        t = translator(look.lang)
        session = self.acting(request)
        facts = await self._present.facts(self._link(request.path_params["link"]), session, look, "")
        typed = document_of(await request.body(), TypedAlert, t)
        language = browser_requests.query(request).get("language", "")
        return answers.page(preview(typed, facts, language, t, self._common(facts.settings.id)))

    def acting(self, request: Request) -> ReaderSession:
        """Return the session of the officer who acts. Raises ActFailed unless it is one, and the body is JSON."""
        kind = request.headers.get("content-type", "")
        return officers_session(self._session(request), kind, translator(self._look(request).lang))

    def _link(self, link: str) -> str:
        if link not in self._present.links:
            raise NoSuchThing(phrase("there is no such page; the menu has all that there are"))
        return link

    def _sender(self, request: Request) -> Sender:
        """Return whose browser sends a credential."""
        return Sender(
            browser=self._sessions.browser(self._browser_token(request)),
            source="unix" if request.client is None else request.client.host,
            abandoned=request.is_disconnected,
        )

    # --- sessions -------------------------------------------------------------------------------------------------

    def _session(self, request: Request) -> ReaderSession | None:
        """Return whose request it is; nobody's once the officer was removed or has another credential."""
        session = self._sessions.of(browser_requests.cookie(request, self._cookies.session))
        return session if session is not None and self._log_in.holds(session) else None

    def _look(self, request: Request) -> Preferences:
        return from_cookie(request.cookies.get(self._cookies.look, ""), self._present.language)

    async def _board_link(self, request: Request) -> Response:
        if request.method == "HEAD":
            # a program that looks ahead of a link does not use it up
            return answers.to("/")
        token = self._sessions.redeem(request.path_params["token"])
        if token is None:
            t = translator(self._look(request).lang)
            raise HTTPException(
                HTTPStatus.NOT_FOUND,
                t("this link was used already or is too old; make another: deconflict console board-link CONFIG"),
            )
        await self._end_former(request)
        session = self._sessions.of(token)
        if session is not None:
            await self._log_in.began(session)
        return self._begin(request, token, answers.to("/"))

    def _begin(self, request: Request, token: str, answer: Response) -> Response:
        """Return the answer, which begins a session; its browser is known from now on."""
        self._cookies.begin(answer, token, COOKIE_S)
        return self._cookies.know(answer, self._sessions.know(self._browser_token(request)), COOKIE_S)

    def _browser_token(self, request: Request) -> str:
        return browser_requests.cookie(request, self._cookies.browser)

    async def _log_in_page(self, request: Request) -> Response:
        return self._log_in_answer(request)

    def _log_in_answer(self, request: Request, wrong: str = "", officer: str = "") -> Response:
        look = self._look(request)
        purpose = self._present.status
        page = pages.render(
            "log-in",
            t=translator(look.lang),
            look=look,
            word=WORDS[purpose],
            purpose=purpose,
            side=self._present.side,
            wrong=wrong,
            officer=officer,
            **self._common(self._present.links[0]),
        )
        return answers.page(page, HTTPStatus.FORBIDDEN if wrong else HTTPStatus.OK)

    async def _log_in_form(self, request: Request) -> Response:
        form = await browser_requests.form(request)
        officer, credential = form.get("officer", "").strip(), form.get("credential", "")
        try:
            token = await self._log_in.begin(officer, credential, self._sender(request))
        except LinkError as error:
            wrong = translator(self._look(request).lang).say(worded(error))
            return self._log_in_answer(request, wrong, officer)
        await self._end_former(request)
        return self._begin(request, token, answers.to("/"))

    async def _end_former(self, request: Request) -> None:
        """End the session whose cookie the browser is about to lose."""
        session = self._session(request)
        if session is not None:
            await self._log_in.end(session, "log-out")

    async def _log_out(self, request: Request) -> Response:
        await self._end_former(request)
        return self._cookies.end(answers.left())

    async def _settings(self, request: Request) -> Response:
        form = await browser_requests.form(request)
        back = form.get("back", "/")
        # only a path of this console
        answer = answers.to(back if OWN_PATH.fullmatch(back) else "/")
        return self._cookies.keep(answer, self._look(request).changed(form))

    # --- errors ---------------------------------------------------------------------------------------------------

    async def _nothing(self, request: Request, error: Exception) -> Response:
        return self._problem(request, HTTPStatus.NOT_FOUND, worded(error))

    async def _malformed(self, request: Request, error: Exception) -> Response:
        return self._problem(request, HTTPStatus.BAD_REQUEST, worded(error))

    async def _failed(self, request: Request, error: Exception) -> Response:
        return self._problem(request, HTTPStatus.SERVICE_UNAVAILABLE, worded(error))

    async def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        own = error.detail != status.phrase
        return self._problem(request, status, error.detail if own else phrase("there is no such page"))

    def _problem(self, request: Request, status: HTTPStatus, why: str) -> Response:
        look = self._look(request)
        t = translator(look.lang)
        page = pages.render(
            "problem",
            t=t,
            look=look,
            word=WORDS[self._present.status],
            purpose=self._present.status,
            side=self._present.side,
            why=t.say(why),
            **self._common(self._present.links[0]),
        )
        return answers.page(page, status)


async def _act_failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ActFailed)
    return failure(error)
