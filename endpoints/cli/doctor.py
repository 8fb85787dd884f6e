"""`deconflict doctor`: checks an installation and reports problems before start-up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines, say
from endpoints.errors import UserError

if TYPE_CHECKING:
    from endpoints.doctor.findings import Report


def doctor(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Check an installation and print one line for each problem; return 0 if there is none, else 1.

    Hints go to standard error: what is in order for a trial, and not in earnest.
    """
    from endpoints.texts.i18n import translator

    t = translator(lang)
    report = _examined(config)
    findings = report.findings
    if as_json:
        print_json(
            {
                "ok": not findings,
                "checks": len(report.checked),
                "checked": report.checked,
                "findings": [each.document() for each in findings],
                "hints": [each.document() for each in report.hints],
            }
        )
    else:
        print_lines(finding.told(t.say) for finding in findings)
        print_lines((t("hint: {hint}", hint=hint.told(t.say)) for hint in report.hints), stderr=True)
        checked = t.plural("{count} check", "{count} checks", len(report.checked))
        found = t.plural("{count} finding", "{count} findings", len(findings))
        say(f"{checked}, {found}")
    return 1 if findings else 0


def _examined(config: Path) -> Report:
    """Return what was found; where the settings can't be loaded, what a copy of them lacks. Raises UserError."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import settings
    from endpoints.doctor import copied
    from endpoints.doctor.examination import Examination

    try:
        loaded = settings.load_unchecked(config)
    except UserError as error:
        found = copied.survey(config)
        copied.take(error, found, config)
        return found
    clock = SystemClock()
    examination = Examination(loaded, lambda: clock.now()[0])
    examination.run()
    return examination.report
