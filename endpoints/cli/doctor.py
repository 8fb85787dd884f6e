"""`deconflict doctor`: checks an installation and reports problems before start-up."""

from __future__ import annotations

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines, say


def doctor(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Check an installation and print one line for each problem; return 0 if there is none, else 1.

    Hints go to standard error: what is in order for a trial, and not in earnest.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import settings
    from endpoints.doctor.examination import Examination
    from endpoints.texts.i18n import translator

    t = translator(lang)
    clock = SystemClock()
    examination = Examination(settings.load_unchecked(config), lambda: clock.now()[0])
    findings = examination.run()
    if as_json:
        print_json(
            {
                "ok": not findings,
                "checks": len(examination.checked),
                "checked": examination.checked,
                "findings": [each.document() for each in findings],
                "hints": [each.document() for each in examination.hints],
            }
        )
    else:
        print_lines(finding.told(t.say) for finding in findings)
        print_lines((t("hint: {hint}", hint=hint.told(t.say)) for hint in examination.hints), stderr=True)
        checked = t.plural("{count} check", "{count} checks", len(examination.checked))
        found = t.plural("{count} finding", "{count} findings", len(findings))
        say(f"{checked}, {found}")
    return 1 if findings else 0
