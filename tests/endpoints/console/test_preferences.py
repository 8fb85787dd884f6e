from __future__ import annotations

import pytest

from endpoints.console.preferences import Preferences, from_cookie


def test_a_cookie_gives_back_what_was_chosen() -> None:
    chosen = Preferences().changed({"lang": "ru", "theme": "dark", "size": "large", "keys": "off", "back": "/"})
    assert chosen == Preferences(lang="ru", theme="dark", size="large", keys="off")
    assert from_cookie(chosen.cookie(), "en") == chosen


@pytest.mark.parametrize(
    "forged", ["", "lang=xx", "theme=<script>", "&&&&", "a=" + "b" * 10_000, "%ff%fe", "x=1&" * 50, "lang"]
)
def test_of_a_forged_cookie_only_known_values_count(forged: str) -> None:
    assert from_cookie(forged, "ru") == Preferences(lang="ru")
