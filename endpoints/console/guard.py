"""Stands before the application: one origin, headers for every answer, a limit for every body.

The console is reached at one origin only. So a name that is pointed at this machine (DNS rebinding), a page of another
site and a form of another site get one sentence, and nothing of the console.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from endpoints.texts.i18n import LANGUAGES, translator
from protocol.phrases import Phrase, phrase

BODY_MAX_BYTES = 8_192
"""A log-in and the settings of a screen are the largest requests but for acts."""
ACT_MAX_BYTES = 65_536
"""Of an act: an alert with its texts, and those of its cancellation. The control socket takes no more."""
_ACT = re.compile(rb"/links/[^/]*/acts/[^/]*")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types console"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    # with "no-referrer", a browser would not say of its own forms where they come from
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_OWN_SITE = {b"", b"same-origin", b"none"}
_READING = {"GET", "HEAD"}


class Guard:
    """Passes on to an application what its own pages may ask."""

    def __init__(self, application: ASGIApp, origin: str) -> None:
        """Guard `application`, which is reached at `origin` alone."""
        self._application = application
        self._origin = origin.encode()
        parts = urlsplit(origin)
        self._host = parts.netloc.encode()
        self._headers = (
            *HEADERS,
            *(
                [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")]
                if parts.scheme == "https"
                else ()
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in self._headers}
                headers = [(name, value) for name, value in message["headers"] if name.lower() not in own]
                # a browser keeps what no answer forbids it to keep
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *self._headers]}
            await send(message)

        refused = self._why_not(scope)
        if refused is not None:
            status, why = refused
            await _answer(send_guarded, status, why)
            return
        length = _header(scope, b"content-length")
        most = ACT_MAX_BYTES if _ACT.fullmatch(scope["raw_path"]) else BODY_MAX_BYTES
        if (length and not length.isdigit()) or int(length or 0) > most:
            await _answer(send_guarded, 413, phrase("the request is longer than {count} bytes", count=most))
            return
        await self._application(scope, _limited(receive, most), send_guarded)

    def _why_not(self, scope: Scope) -> tuple[int, Phrase] | None:
        """Return the status and the reason why a request is refused, None if it is not."""
        if _header(scope, b"host") != self._host:
            return 421, phrase("this console is at {origin} only", origin=self._origin.decode())
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        if scope["method"] in _READING:
            followed = (
                _header(scope, b"sec-fetch-mode") == b"navigate" and _header(scope, b"sec-fetch-dest") == b"document"
            )
            foreign = site not in _OWN_SITE and not followed
        else:
            foreign = site not in _OWN_SITE or origin != self._origin
        return (403, phrase("this request does not come from a page of this console")) if foreign else None


def _limited(receive: Receive, most: int) -> Receive:
    """Return `receive`, which ends the request when more than `most` bytes have come."""
    left = most

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if left < 0 else message

    return limited


def _header(scope: Scope, name: bytes) -> bytes:
    """Return the value of a header, empty if there is none; of several, something that no header is."""
    values: Iterable[bytes] = [value for key, value in scope["headers"] if key == name]
    return b", ".join(values)


async def _answer(send: Send, status: int, why: Phrase) -> None:
    """Answer in every language: whose page it is, is not known."""
    body = "".join(f"{translator(language).say(why)}\n" for language in LANGUAGES).encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
