"""`deconflict doctor`: everything that will not work, before it does not."""

from __future__ import annotations

from endpoints.cli import options
from endpoints.cli.output import print_json, say


def doctor(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Find everything that will not work, before it does not: one line each; exit 0 if there is nothing, else 1.

    Looks at files, permissions, keys, certificates, broker, journals, clock, disk, officers and the control socket, and
    changes nothing. It can be run beside the running service.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import settings
    from endpoints.doctor import Examination
    from endpoints.texts.i18n import translator

    t = translator(lang)
    at, _ = SystemClock().now()
    examination = Examination(settings.load(config), at)
    findings = examination.run()
    if as_json:
        print_json({"ok": not findings, "checks": examination.checks, "findings": findings})
    else:
        for finding in findings:
            print(finding)
        checked = t.plural("{count} check", "{count} checks", examination.checks)
        found = t.plural("{count} finding", "{count} findings", len(findings))
        say(f"{checked}, {found}")
    return 1 if findings else 0
