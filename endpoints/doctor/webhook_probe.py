"""Asks a web server whether it answers, without naming the resource that a notification would reach."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from endpoints.bounded_http import RequestError, request
from protocol.phrases import worded


def unanswered(url: str, trust: ssl.SSLContext) -> str:
    """Return why the server of `url` does not answer; empty if it answers HTTP, whatever it says.

    The request is `OPTIONS *`: it concerns the server as a whole, so that neither a notification nor a sign of life is
    counted. `trust` is what `bounded_http.trusted` returned.
    """
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    try:
        asyncio.run(request("OPTIONS", server, trust=trust, target=b"*"))
    except RequestError as error:
        return worded(error)
    return ""
