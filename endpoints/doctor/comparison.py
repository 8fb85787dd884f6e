"""Checks whether an officer has compared the link file with the other side's (SPEC E1.8)."""

from __future__ import annotations

import shlex

from endpoints.config import confirmations
from endpoints.config.settings import EndpointSettings, LinkSettings
from endpoints.doctor.findings import Report
from endpoints.errors import UserError
from endpoints.journal.last_segment import last_segment
from endpoints.runtime.start_checks import comparison
from protocol.core.link import Link
from protocol.errors import LinkError
from protocol.phrases import phrase
from protocol.record.replay import at_end


def check_comparison(settings: EndpointSettings, link: LinkSettings, found: Report) -> None:
    """Report an actual link that does not start without a comparison; give a hint about one that runs without."""
    try:
        records = last_segment(link.journal, link.id, settings.side)
        core = at_end(records) if records else None
    except (OSError, LinkError):
        # the check of the journal reports it
        return
    actual, content = link.content.terms.policy.status == "actual", link.content
    note = confirmations.load(settings.path.absolute().parent, link.id)
    if note is not None and note.digest == content.digest and note.officer in settings.officers:
        return
    starts = not actual
    if isinstance(core, Link):
        try:
            comparison(settings, link, core)
            starts = True
        except UserError:
            starts = False
        if starts and core.confirmed is not None:
            return
    if not starts:
        what = phrase("no officer has compared this link file with the other side's, so the link does not start")
    elif actual:
        what = phrase("no officer has compared this link file with the other side's since its epoch began")
    else:
        what = phrase("no officer has compared this link file with the other side's; an exercise may run so")
    command = shlex.join(["deconflict", "link", "confirm", str(settings.path), "--link", link.id, "--officer", "ID"])
    remedy = phrase("compare it by voice: {command}", command=command)
    found.add(link.file, what, remedy, severity="hint" if starts else "error")
