"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Config = Annotated[Path, Parameter(help="The endpoint's endpoint.toml (or the watch's watch.toml).", negative="")]
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
