"""Writes pages: templates that escape whatever others wrote, and spell out what would be invisible in it."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from endpoints.texts.printable import printable

STATIC = resources.files("endpoints.console").joinpath("static")
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@cache
def environment() -> Environment:
    """Return the templates of the console."""
    made = Environment(
        loader=PackageLoader("endpoints.console", "templates"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["as_typed"] = _as_typed
    return made


def render(template: str, **values: Any) -> str:
    """Return the page that `template` makes of `values`."""
    return environment().get_template(f"{template}.html").render(values)


def address(link: str, screen: str, *parts: str, **query: str | int) -> str:
    """Return the address of a screen of a link; `parts` follow the screen's name."""
    path = "/".join(quote(part, safe="/") for part in ("", "links", link, screen, *parts))
    return f"{path}?{urlencode(query)}" if query else path


def tools(link: str) -> dict[str, object]:
    """Return what templates make addresses with, by default those of `link`, and the build."""

    def url(screen: str, *parts: str, **query: str | int) -> str:
        return address(link, screen, *parts, **query)

    def static(name: str) -> str:
        return f"/static/{name}?v={build()}"

    return {"url": url, "address": address, "static": static, "build": build()}


class StaticFile(NamedTuple):
    """One file that never changes while the console runs, as it is and compressed."""

    media_type: str
    content: bytes
    compressed: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """Return each static file, by name."""
    found = sorted((each.name, each.read_bytes()) for each in STATIC.iterdir() if each.is_file())
    return {
        name: StaticFile(TYPES[name.rpartition(".")[2]], content, gzip.compress(content, mtime=0))
        for name, content in found
    }


@cache
def build() -> str:
    """Return what changes when pages, scripts or styles do: an open page of another build is too old."""
    digest = hashlib.sha256()
    templates = resources.files("endpoints.console").joinpath("templates")
    for content in (
        *(each.content for each in static_files().values()),
        *(each.read_bytes() for each in sorted(templates.iterdir(), key=lambda each: each.name) if each.is_file()),
    ):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:12]


def _as_typed(value: str) -> Markup:
    """Return a text of this side for a field of a form: escaped, but with each character as it was typed."""
    return escape(value)


def _harmless(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
