"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

CONFIG_VARIABLE = "DECONFLICT_CONFIG"
Config = Annotated[
    Path,
    Parameter(help="The endpoint's endpoint.toml or the watch's watch.toml.", env_var=CONFIG_VARIABLE, negative=""),
]
EndpointConfig = Annotated[Path, Parameter(help="The endpoint's endpoint.toml.", env_var=CONFIG_VARIABLE, negative="")]
WatchConfig = Annotated[Path, Parameter(help="The watch's watch.toml.", env_var=CONFIG_VARIABLE, negative="")]
LinkStatus = Annotated[
    Literal["exercise", "actual"],
    Parameter(
        name="--status",
        help="Purpose of the link: an exercise link refuses actual alerts, and an actual link exercise alerts.",
    ),
]
LinkId = Annotated[str | None, Parameter(name="--link", help="The link, if there are several.")]
NewLinkId = Annotated[str, Parameter(name="--link", help="The link's id.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of text.")]
Lang = Annotated[
    Literal["en", "ru"] | None,
    Parameter(name="--lang", env_var="DECONFLICT_LANG", help="Language of the output; by default the locale's."),
]
LogFormat = Annotated[
    Literal["json", "text"] | None,
    Parameter(
        name="--log",
        help="`json` prints the journal and log lines as JSON, `text` prints lines for people. By default `text` on a "
        "terminal, and `json` elsewhere.",
    ),
]
OfficerId = Annotated[
    str,
    Parameter(
        name="--officer",
        env_var="DECONFLICT_OFFICER",
        help="The officer who acts, as named in the endpoint's configuration.",
    ),
]
CredentialFile = Annotated[
    Path | None,
    Parameter(
        name="--credential-file",
        env_var="DECONFLICT_CREDENTIAL_FILE",
        help="File (mode 0600) with the officer's credential. Without it, the command asks for the credential.",
    ),
]
Texts = Annotated[
    list[str] | None,
    Parameter(
        negative="", allow_leading_hyphen=True, help="The text in one language, such as en=...; once for each language."
    ),
]
Seen = Annotated[
    str | None,
    Parameter(
        help="The digest of what the officer saw, as show and drafts print it. If others have acted since, the command "
        "says who did what, and exits with 9."
    ),
]
Place = Annotated[
    Path,
    Parameter(
        help="The endpoint's endpoint.toml, the watch's watch.toml, or the folder that `deconflict broker` takes.",
        env_var=CONFIG_VARIABLE,
        negative="",
    ),
]
