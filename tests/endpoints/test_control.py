from __future__ import annotations

import msgspec
import pytest

from endpoints.control import _decode
from endpoints.control_requests import AskAlert
from protocol.errors import LocalProtocolError

ALERT = {
    "request": "12345678",
    "officer": "watch-1",
    "credential": "secret",
    "category": "stray_munition",
    "precedence": "routine",
    "expires_in_s": 60,
}


@pytest.mark.parametrize("escaped", [False, True], ids=["UTF-8", "escaped"])
def test_text_typed_in_decomposed_form_is_composed(*, escaped: bool) -> None:
    """SPEC F4.4: a keyboard that writes й as two characters must not cost an officer his alert."""
    body = msgspec.json.encode({**ALERT, "text": {"ru": "Чужо\u0438\u0306 снаряд"}})
    if escaped:
        body = body.decode().replace("\u0306", "\\u0306").encode()
    ask = _decode(body, AskAlert)
    assert isinstance(ask, AskAlert)
    assert ask.text == {"ru": "Чужо\u0439 снаряд"}


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"null", b"[]", b'{"request": 1}'])
def test_what_is_no_request_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="not a request of this action"):
        _decode(body, AskAlert)
