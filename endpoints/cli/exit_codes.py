"""The exit codes and the environment variables, as `--help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

Fixed = Callable[[str], str]
"""Translates a fixed text."""

EXIT_CODES = {
    0: "done; fine; intact; identical; the journals agree",
    1: "failed: a fault in the program, or what no other code says",
    2: "wrong usage, file or key; no record in what was given",
    3: "incomplete, or cut in transport",
    4: "changed by someone",
    5: "the replay diverged",
    6: "the journals disagree, or what had to be compared was not",
    7: "the load test's goal was missed",
    9: "somebody acted first, or has the watch",
    10: "status: late or unproven; --wait: not yet",
    11: "status: alarm; --wait: refused, or it can no longer be reached",
    12: "status: unknown; the process does not run or does not answer",
    130: "interrupted with Ctrl-C",
}
ENVIRONMENT = {
    "DECONFLICT_CONFIG": "CONFIG of the commands that take one; it may then be left out",
    "DECONFLICT_OFFICER": "the officer who acts, instead of --officer",
    "DECONFLICT_CREDENTIAL_FILE": "file with that officer's credential, instead of a prompt",
    "DECONFLICT_LANG": "language of the output: `en` or `ru`",
    "DECONFLICT_BROKER_ADDRESSES": "the addresses of the broker's nodes (h1:8883,h2:8883), instead of the settings'",
    "DECONFLICT_BROKER_HOST": "the broker's host, instead of the settings'",
    "DECONFLICT_BROKER_PORT": "the broker's port, instead of the settings'",
    "DECONFLICT_HEALTH_HOST": "address of the health listener, instead of the settings'",
    "DECONFLICT_HEALTH_PORT": "port of the health listener, which it also switches on",
    "DECONFLICT_CONSOLE_LISTEN": "where the console listens (`localhost:8440`), instead of the settings'",
    "DECONFLICT_CONSOLE_ORIGIN": "where browsers reach the console, instead of the settings'",
    "DECONFLICT_WEBHOOK": "URL that notifications are posted to; DECONFLICT_WEBHOOK_FILE names a file with it",
    "DECONFLICT_PING": "URL of the watch's dead man's switch; DECONFLICT_PING_FILE names a file with it",
    "DECONFLICT_EXERCISE_CLOCK": "table of an exercise's clock, for exercise links only",
    "DECONFLICT_ALLOW_PTRACE": "1 lets a debugger attach, for exercise links only",
    "NO_COLOR": "no colours on a terminal",
}

ALWAYS = {0: "done", 2: "wrong usage, file or key"}
_SILENT = {12: "the process does not run or does not answer"}
_ACTED = {9: "another officer has acted on it meanwhile", **_SILENT}
_CHANGES = {9: "another officer has changed or cancelled it already", **_SILENT}
_WAITS = {10: "--wait: not reached in time", 11: "--wait: it can no longer be reached"}
_DECIDES = {1: "not confirmed", 9: "another officer has released or discarded it", **_SILENT}
_DECLINES = {1: "not confirmed"}
_RELOADS = {12: "the process runs and does not answer"}
_CHANGES_FILES = {**_DECLINES, **_RELOADS}
_READS = {3: "incomplete: records are missing or cut", 4: "changed by someone"}
_COMPARES = {0: "all agree", **_READS, 6: "they disagree, or what had to be compared was not"}
_RUNS = {4: "the journal was changed by someone"}
OWN_EXITS: dict[str, dict[int, str]] = {
    "demo": {0: "the scenario ended as expected", 1: "it did not"},
    "link fingerprint": {0: "equal", 6: "different"},
    "link accept": _CHANGES_FILES,
    "link amend": _DECLINES,
    "link add": _CHANGES_FILES,
    "link remove": _CHANGES_FILES,
    "epoch": _CHANGES_FILES,
    "officer add": _RELOADS,
    "officer reset": _RELOADS,
    "officer remove": _CHANGES_FILES,
    "link confirm": {0: "equal", 6: "different", **_RELOADS},
    "key show": _READS,
    "key add": _RELOADS,
    "key retire": _CHANGES_FILES,
    "key revoke": _CHANGES_FILES,
    "cert show": {0: "nothing needs attention", 1: "warnings"},
    "cert request": _DECLINES,
    "cert sign": _DECLINES,
    "cert renew": _DECLINES,
    "cert trust": _DECLINES,
    "doctor": {0: "no findings", 1: "findings"},
    "broker": {1: "--configure: not confirmed"},
    "run": _RUNS,
    "watch": _RUNS,
    "reload": _SILENT,
    "notify test": {0: "every receiver took it", 1: "one did not, or there is none"},
    "status": {0: "fine", 10: "late or unproven", 11: "alarm", 12: "unknown: the process does not run or answer"},
    "test": _SILENT,
    "alert": {1: "not confirmed", **_CHANGES, **_WAITS},
    "release": _DECIDES | _WAITS,
    "discard": _DECIDES,
    "drafts": _SILENT,
    "show": _READS,
    "answer": _ACTED,
    "acknowledge": _ACTED,
    "refuse": _ACTED,
    "cancel": _CHANGES | _WAITS,
    "duty take": {9: "somebody else has the watch", **_SILENT},
    "duty leave": {9: "this officer does not have the watch", **_SILENT},
    "messages": {**_READS, 12: "--open: the process does not run or does not answer"},
    "alarms list": _SILENT,
    "alarms acknowledge": {9: "another officer has acknowledged it already", **_SILENT},
    "log verify": {0: "intact", **_READS},
    "log show": {0: "intact", **_READS},
    "log export": {0: "exported; the journal is intact", 1: "the disk is full", **_READS},
    "log archive": {3: "an archive is cut", 4: "the journal or an archive was changed by someone"},
    "log restore": {0: "restored", 3: "the copy is incomplete", 4: "the copy was changed by someone"},
    "replay": {0: "identical", **_READS, 5: "diverged"},
    "reconcile": _COMPARES,
    "timeline": _COMPARES,
    "load": {
        0: "measured; every goal was met",
        1: "an alert was lost, or it could not be measured",
        7: "a goal was missed",
        **_SILENT,
    },
}
"""What the codes of a command mean, by its words, where they say more than `ALWAYS`."""
_COLUMNS = 78


def exits_of(command: str, fixed: Fixed) -> str:
    """Return the exit codes of a command, in one paragraph of its help."""
    codes = sorted((ALWAYS | OWN_EXITS.get(command, {})).items())
    return f"{fixed('Exit codes:')} " + "; ".join(f"{code} {fixed(what)}" for code, what in codes) + "."


def closing(fixed: Fixed) -> str:
    """Return what ends the first page of the help: all exit codes, and the environment variables."""
    codes = [(str(code), fixed(what)) for code, what in EXIT_CODES.items()]
    variables = [(name, fixed(what)) for name, what in ENVIRONMENT.items()]
    return "\n".join([*_table(fixed("Exit codes:"), codes, 5), "", *_table(fixed("Environment:"), variables, 28)])


def _table(title: str, rows: list[tuple[str, str]], width: int) -> list[str]:
    """Return a table's lines, with its right column folded below itself."""
    lines = [title]
    for left, right in rows:
        begin = f"  {left:<{width}}"
        lines += wrap(right, _COLUMNS, initial_indent=begin, subsequent_indent=" " * len(begin), break_on_hyphens=False)
    return lines
