"""Makes the answers of the console: pages, redirects, files, and errors without a page."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from endpoints.console import pages
from endpoints.console.screen import Download

STATIC_S = 31_536_000


def page(content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a page, which no browser keeps."""
    return Response(content, status, media_type="text/html; charset=utf-8", headers={"cache-control": "no-store"})


def to(path: str) -> Response:
    """Return that the browser shall get another path."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers={"cache-control": "no-store"})


def left() -> Response:
    """Return that the browser shall get the log-in, and forget what this console's pages have kept in it."""
    answer = to("/log-in")
    answer.headers["clear-site-data"] = '"storage"'
    return answer


def signed_out() -> Response:
    """Return that there is no session."""
    return PlainTextResponse("", HTTPStatus.UNAUTHORIZED, headers={"cache-control": "no-store"})


def download(file: Download, *, head: bool) -> Response:
    """Return a file to be saved; only its `head` if that is all that was asked for, and its parts are not made then."""
    headers = {"content-disposition": f'attachment; filename="{file.name}"', "cache-control": "no-store"}
    if head:
        return Response(media_type=file.media_type, headers=headers)
    return StreamingResponse(file.parts, media_type=file.media_type, headers=headers)


async def static(request: Request) -> Response:
    """Return a static file; a browser keeps it under the build that the page names."""
    found = pages.static_files().get(request.path_params["name"])
    if found is None:
        return PlainTextResponse("", HTTPStatus.NOT_FOUND)
    kept = request.query_params.get("v") == pages.build()
    headers = {
        "cache-control": f"public, max-age={STATIC_S}, immutable" if kept else "no-store",
        "vary": "accept-encoding",
    }
    content = found.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = found.compressed
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=found.media_type, headers=headers)


async def alive(_request: Request) -> Response:
    """Return that the console itself is alive."""
    return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})


async def gone(_request: Request, _error: Exception) -> Response:
    """Return something to a browser that has gone."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def bug(_request: Request, _error: Exception) -> Response:
    """Return that the console has a bug."""
    return PlainTextResponse("a bug of the console prevents this page\n", HTTPStatus.INTERNAL_SERVER_ERROR)
