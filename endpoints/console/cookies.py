"""The cookies of one console; browsers ignore ports with them, so their names say which side and links they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from starlette.responses import Response

from endpoints.console.preferences import Preferences

LOOK_S = 400 * 86_400
"""As long as browsers keep a cookie at most."""


class Cookies:
    """Names and writes the cookies."""

    def __init__(self, side: str, links: Iterable[str]) -> None:
        """Name them after the side and the links."""
        name = hashlib.sha256("\n".join([side, *links]).encode()).hexdigest()[:16]
        self.session = f"__Host-watch-{name}"
        self.browser = f"__Host-browser-{name}"
        self.look = f"__Host-look-{name}"

    def begin(self, answer: Response, token: str, lasts_s: int) -> Response:
        """Give the browser a session's token."""
        _set(answer, self.session, token, lasts_s)
        return answer

    def know(self, answer: Response, token: str, lasts_s: int) -> Response:
        """Give the browser the token by which it is known again."""
        _set(answer, self.browser, token, lasts_s)
        return answer

    def end(self, answer: Response) -> Response:
        """Take the token from the browser, and what it has kept of the pages."""
        _set(answer, self.session, "", 0)
        return answer

    def keep(self, answer: Response, preferences: Preferences) -> Response:
        """Have the browser keep how it shows the console."""
        _set(answer, self.look, preferences.cookie(), LOOK_S)
        return answer


def _set(answer: Response, name: str, value: str, lasts_s: int) -> None:
    answer.set_cookie(name, value, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="strict")
