"""`deconflict completion`: prints the script with which a shell completes commands, options and file names."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.errors import UserError
from protocol.phrases import phrase

Shell = Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell: `bash`, `zsh` or `fish`.")]

_FILES = 'COMPREPLY=( $(compgen -f -- "${cur}") )'
_ENDS = "complete -F _deconflict deconflict"


def completion(shell: Shell, /, *, lang: options.Lang = None) -> None:
    """Print a shell's completion script. It holds every command and option, so completing starts no program."""
    from endpoints.cli.application import build
    from endpoints.texts.i18n import translator

    script = build(translator(lang)).generate_completion(prog_name="deconflict", shell=shell)
    sys.stdout.write(_in_bash(script) if shell == "bash" else script)


def _in_bash(script: str) -> str:
    """Return the script with bash itself completing file names: it quotes spaces and ends a folder with a slash.

    The script of cyclopts splits a name at its spaces. Raises UserError if that part of it has changed.
    """
    if _FILES not in script or _ENDS not in script:
        raise UserError(phrase("bash: this version of cyclopts writes another script; install the locked versions"))
    return script.replace(_FILES, "COMPREPLY=()").replace(
        _ENDS, "complete -o bashdefault -o default -F _deconflict deconflict"
    )
