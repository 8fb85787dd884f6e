"""Makes the OpenAPI document of the control socket: its requests from their types, its answers from theirs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from endpoints.control.answers import (
    STATUS_OF,
    Alarms,
    Done,
    DraftAnswer,
    ItemAnswer,
    Links,
    RequestProblem,
)
from endpoints.control.application import BODY_MAX_BYTES
from endpoints.control.delivery_progress import Ladder
from endpoints.control.event_lines import Beat, State
from endpoints.control.requests import ACTIONS, WATCH_ACTIONS, ConsoleTold
from endpoints.control.status import Status
from endpoints.runtime.reloading import Reloaded
from protocol.core.snapshot import Snapshot
from tests.contracts.typed import Schema, components, opened

TEMPLATE = "#/components/schemas/{name}"
ANSWERS = (
    Links,
    Status,
    Snapshot,
    State,
    Beat,
    Alarms,
    ItemAnswer,
    DraftAnswer,
    Ladder,
    Done,
    Reloaded,
    RequestProblem,
)
_LINK: Schema = {"$ref": "#/components/parameters/link"}
_LINES = "application/x-ndjson"


def document() -> Schema:
    """Return the OpenAPI document."""
    _, requests = components([*ACTIONS.values(), ConsoleTold], TEMPLATE)
    _, answers = components(ANSWERS, TEMPLATE)
    schemas: dict[str, Schema] = {name: opened(each) for name, each in answers.items()}
    # what is in both is written by officers too: strict
    schemas |= requests
    schemas["StateOrBeat"] = {"oneOf": [_ref("State"), _ref("Beat")], "discriminator": _lines_by_kind()}
    schemas["Item"] = {"anyOf": [_ref("DraftAnswer"), _ref("ItemAnswer")]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The control socket of the deconfliction link",
            "version": "1",
            "description": (
                "HTTP on the Unix socket of a running endpoint or watch (`control` of its settings, mode 0600):"
                " docs/control-socket.md. A program that can open the socket may read; officers act with their own"
                " credential, in the body of each request. Answers may get more fields: a client ignores unknown ones."
                " Requests with unknown fields are refused. A request may be repeated under the same `request`"
                f" id. A body has at most {BODY_MAX_BYTES} bytes. Texts are in characters of Unicode 14.0, without"
                " control characters but newline."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://control", "description": "the Unix socket; the host name has no meaning"}],
        "security": [],
        "paths": _paths(),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "parameters": {
                "link": {
                    "name": "link",
                    "in": "path",
                    "required": True,
                    "description": "the id of a link of this process",
                    "schema": {"type": "string"},
                },
                "reference": {
                    "name": "reference",
                    "in": "path",
                    "required": True,
                    "description": "`eucom/1/42` or `draft/3`: its slashes are written as they are, not encoded",
                    "schema": {"type": "string"},
                },
            },
            "responses": {"problem": _answer("Why the request was refused.", "RequestProblem")},
        },
    }


def _paths() -> dict[str, Any]:
    link = "/v1/links/{link}"
    paths: dict[str, Any] = {
        "/v1/links": {"get": _read("links", "The links of this process", "Links", [])},
        f"{link}/status": {
            "get": _read(
                "status",
                "The status of a link; followed: a line at each change, and an empty one every 5 s without any",
                "Status",
                [_LINK, _query("follow", {"enum": ["true"]}, "follow it")],
                lines="Status",
            )
        },
        f"{link}/snapshot": {
            "get": _read("snapshot", "Everything that the record says about the present", "Snapshot", [_LINK])
        },
        f"{link}/events": {
            "get": _read(
                "events",
                "The state at each change, and a beat in each second without any",
                None,
                [_LINK, _query("after", {"type": "integer", "minimum": 0}, "the `id` of the state that is known")],
                lines="StateOrBeat",
            )
        },
        f"{link}/alarms": {"get": _read("alarms", "The alarms of a link", "Alarms", [_LINK])},
        f"{link}/items/{{reference}}": {
            "get": _read(
                "item", "A draft, an alert or a line test, the acts on it, and `seen`", "Item", [_LINK, _REFERENCE]
            )
        },
        f"{link}/progress/{{reference}}": {
            "get": _read(
                "progress",
                "The delivery of a message sent here, or of a draft: a line for each step",
                None,
                [_LINK, _REFERENCE, _query("within", {"type": "integer", "minimum": 0}, "end after so many seconds")],
                lines="Ladder",
            )
        },
        "/v1/console": {"post": _write("console", "What a console says of its screens", ConsoleTold, None, [])},
        "/v1/reload": {"post": _write("reload", "Read the files of the process anew", None, "Reloaded", [])},
    }
    for action, kind in ACTIONS.items():
        where = "" if action in WATCH_ACTIONS else "; not at the watch, which sends no messages"
        paths[f"{link}/{action}"] = {
            "post": _write(action, f"{_first_line(kind)}{where}", kind, "Done", [_LINK]),
        }
    return paths


_REFERENCE: Schema = {"$ref": "#/components/parameters/reference"}


def _read(name: str, about: str, schema: str | None, parameters: list[Schema], lines: str | None = None) -> Schema:
    content: dict[str, Any] = {} if schema is None else {"application/json": {"schema": _ref(schema)}}
    if lines is not None:
        content[_LINES] = {"schema": _ref(lines)}
    return {
        "operationId": name,
        "summary": about,
        "parameters": parameters,
        "responses": {"200": {"description": "The answer.", "content": content}} | _problems(),
    }


def _write(name: str, about: str, kind: type | None, schema: str | None, parameters: list[Schema]) -> Schema:
    body = (
        {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(kind.__name__)}}}}
        if kind is not None
        else {}
    )
    empty = {"description": "Taken.", "content": {"application/json": {"schema": {"type": "object"}}}}
    done = _answer("Done, and on disk.", schema) if schema else empty
    return {
        "operationId": name,
        "summary": about,
        "parameters": parameters,
        **body,
        "responses": {"200": done} | _problems(),
    }


def _problems() -> dict[str, Schema]:
    codes: dict[int, list[str]] = {HTTPStatus.CONFLICT: ["every other code"]}
    for code, status in STATUS_OF.items():
        codes.setdefault(status, []).append(f"`{code}`")
    return {
        str(int(status)): {"$ref": "#/components/responses/problem", "description": ", ".join(sorted(of))}
        for status, of in sorted(codes.items())
    }


def _answer(about: str, schema: str) -> Schema:
    return {"description": about, "content": {"application/json": {"schema": _ref(schema)}}}


def _query(name: str, schema: Schema, about: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


def _lines_by_kind() -> Schema:
    return {
        "propertyName": "kind",
        "mapping": {"state": TEMPLATE.format(name="State"), "beat": TEMPLATE.format(name="Beat")},
    }


def _ref(name: str) -> Schema:
    return {"$ref": TEMPLATE.format(name=name)}


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0].rstrip(".")
