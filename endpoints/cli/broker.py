"""`deconflict broker`: runs Mosquitto in the foreground on the files that `init` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import say
from endpoints.errors import UserError
from protocol.phrases import worded

InstallationFolder = Annotated[Path, Parameter(help="The folder that `deconflict init` made.", negative="")]


def broker(folder: InstallationFolder, /, *, lang: options.Lang = None) -> None:
    """Run Mosquitto on the files of `init` until SIGTERM or Ctrl-C, and restart it when it dies."""
    from broker import local
    from broker.errors import BrokerError
    from endpoints.clocks.clock import SystemClock
    from endpoints.texts.i18n import translator

    t = translator(lang)
    try:
        local.run(folder / "broker", SystemClock().real_ms, lambda line: say(t.say(line)))
    except BrokerError as error:
        raise UserError(worded(error)) from None
