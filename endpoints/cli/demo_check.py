"""`deconflict demo --check`: says everything that is wrong with a scenario file, without playing it."""

from __future__ import annotations

from pathlib import Path

from endpoints.cli.output import print_json, print_lines
from endpoints.errors import EXIT_USAGE, UserError
from endpoints.texts.i18n import Translator
from protocol.phrases import phrase
from scenario.files import check, read
from scenario.steps import unrolled


def checked(path: Path, t: Translator, *, as_json: bool) -> int:
    """Print each fault of a scenario file in a line of its own; return 0 without any, else 2.

    A file that cannot be read has one fault.
    """
    try:
        found = check(read(path))
    except UserError as error:
        if not as_json:
            raise
        print_json(_document(path) | {"faults": [{"step": None, "action": None, "key": "", "what": str(error)}]})
        return EXIT_USAGE
    if as_json:
        faults = [
            {"step": each.step, "action": each.action, "key": each.key, "what": str(each.what)} for each in found.faults
        ]
        told = {"faults": faults, "more": found.more}
        if (story := found.scenario) is not None:
            told |= {
                "ok": True,
                "scenario": story.name,
                "steps": len(story.steps),
                "played": len(unrolled(story).steps),
            }
        print_json(_document(path) | told)
    elif (story := found.scenario) is not None:
        steps = t.plural("{count} step", "{count} steps", len(unrolled(story).steps))
        print_lines([t("{file}: {steps}, no fault", file=path, steps=steps)])
    else:
        lines = [t.say(phrase("{at}: {error}", at=path, error=each.line)) for each in found.faults]
        if found.more:
            more = t.plural("{count} further fault", "{count} further faults", found.more)
            lines.append(t("{at}: {error}", at=path, error=more))
        print_lines(lines)
    return 0 if found.scenario is not None else EXIT_USAGE


def _document(path: Path) -> dict[str, object]:
    """Return what `--json` says of a file of which nothing is known."""
    return {"file": str(path), "ok": False, "scenario": None, "steps": None, "played": None, "faults": [], "more": 0}
