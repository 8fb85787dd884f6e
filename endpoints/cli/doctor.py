"""`deconflict doctor`: checks an installation and reports problems before start-up."""

from __future__ import annotations

from endpoints.cli import options
from endpoints.cli.output import print_json, say


def doctor(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Check an installation and print one line for each problem; return 0 if there is none, else 1.

    Hints go to standard error: what is in order for a trial, and not in earnest.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import settings
    from endpoints.doctor import Examination
    from endpoints.texts.i18n import translator

    t = translator(lang)
    at, _ = SystemClock().now()
    examination = Examination(settings.load_unchecked(config), at)
    findings = examination.run()
    if as_json:
        print_json({"ok": not findings, "checks": examination.checks, "findings": findings, "hints": examination.hints})
    else:
        for finding in findings:
            print(finding)
        for hint in examination.hints:
            say(t("hint: {hint}", hint=hint))
        checked = t.plural("{count} check", "{count} checks", examination.checks)
        found = t.plural("{count} finding", "{count} findings", len(findings))
        say(f"{checked}, {found}")
    return 1 if findings else 0
