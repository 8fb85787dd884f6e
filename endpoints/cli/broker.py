"""`deconflict broker`: Mosquitto in the foreground, on the files that `init` made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from endpoints.cli.output import say
from endpoints.errors import UserError

Folder = Annotated[Path, Parameter(help="The folder that `deconflict init` made.", negative="")]


def broker(folder: Folder, /) -> None:
    """Run Mosquitto on the files of `init` until SIGTERM or Ctrl-C; it is started again when it dies."""
    from broker import local
    from broker.errors import BrokerError

    try:
        local.run(folder / "broker", say)
    except BrokerError as error:
        raise UserError(str(error)) from None
