"""How one browser shows the console: language, colours, size, keys. It is a cookie without a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct, structs

Theme = Literal["system", "light", "dark"]
Size = Literal["normal", "large", "larger"]
Switch = Literal["on", "off"]
COOKIE_MAX = 200


class Preferences(Struct, frozen=True, kw_only=True):
    """What a person has chosen in one browser, for every link."""

    lang: Literal["en", "ru"] = "en"
    theme: Theme = "system"
    size: Size = "normal"
    # whether single letters are commands
    keys: Switch = "on"

    def changed(self, values: Mapping[str, str]) -> Preferences:
        """Return these with the known values among `values` in place of their own; others are left out."""
        known = {
            field.name: values[field.name]
            for field in structs.fields(Preferences)
            if values.get(field.name) in get_args(field.type)
        }
        return structs.replace(self, **known)

    def cookie(self) -> str:
        """Return the value of the cookie."""
        return urlencode(structs.asdict(self))


def from_cookie(value: str, language: str) -> Preferences:
    """Return the preferences in a cookie; what it does not say is as by default, the language `language`."""
    default = Preferences().changed({"lang": language})
    try:
        pairs = dict(parse_qsl(value[:COOKIE_MAX], max_num_fields=8))
    except ValueError:
        return default
    return default.changed(pairs)
