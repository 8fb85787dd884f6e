"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from endpoints.errors import UserError

Config = Annotated[Path, Parameter(help="The endpoint's endpoint.toml (or the watch's watch.toml).", negative="")]
LinkStatus = Annotated[
    Literal["exercise", "actual"],
    Parameter(name="--status", help="What the link is for: an exercise refuses actual alerts, and the reverse."),
]
LinkId = Annotated[str | None, Parameter(name="--link", help="Which link, where there are several.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for programs.")]
Lang = Annotated[
    Literal["en", "ru"] | None,
    Parameter(name="--lang", env_var="DECONFLICT_LANG", help="Language of what is printed; by default the locale's."),
]
OfficerId = Annotated[str, Parameter(name="--officer", help="Who acts: an officer of the endpoint's configuration.")]
CredentialFile = Annotated[
    Path | None,
    Parameter(
        name="--credential-file",
        env_var="DECONFLICT_CREDENTIAL_FILE",
        help="File (mode 0600) with the officer's credential; without it, the credential is asked for.",
    ),
]
Texts = Annotated[
    list[str] | None,
    Parameter(negative="", allow_leading_hyphen=True, help="Text by language: ru=... en=..., once for each language."),
]


def texts(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Return `["ru=...", "en=..."]` of the option `--option` by language. Raises UserError."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        language, separator, text = pair.partition("=")
        if not separator or not text or len(language) != 2 or not (language.isascii() and language.isalpha()):  # noqa: PLR2004 - ISO 639-1
            raise UserError(f"--{option}: a text is written with its language, such as en=...: {pair[:60]!r}")
        if language in found:
            raise UserError(f"--{option}: two texts in the language {language}")
        found[language] = text
    return found
