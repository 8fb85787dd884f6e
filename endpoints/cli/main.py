"""The command `deconflict`: every command of the link, imported when it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from typing import NamedTuple

from cyclopts import App, CycloptsError, UnknownCommandError

from endpoints.texts.printable import printable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class Command(NamedTuple):
    """One command: its words, `module:function`, one line on what it is for, and an example."""

    words: str
    target: str
    purpose: str
    example: str


SETTING_UP, RUNNING, DUTY, RECORD = "Setting up", "Running", "On duty", "The record"

COMMANDS: dict[str, tuple[Command, ...]] = {
    SETTING_UP: (
        Command(
            "demo",
            "endpoints.cli.demo:demo",
            "Play a day of November 2022 through the real processes.",
            "demo --keep day",
        ),
        Command(
            "init", "endpoints.cli.init:init", "Make both sides, the watch and the broker on one machine.", "init try"
        ),
        Command("enrol", "endpoints.cli.init:enrol", "Make one side's keys and officers.", "enrol hq --side eucom"),
        Command(
            "link make",
            "endpoints.cli.link:link_make",
            "Join two sides' files into the public link file.",
            "link make link.toml eucom.side.toml ndmc.side.toml",
        ),
        Command("link show", "endpoints.cli.link:link_show", "Show a link file.", "link show try/link.toml"),
        Command(
            "link fingerprint",
            "endpoints.cli.link:link_fingerprint",
            "A link file's fingerprint as words to read aloud to the other side.",
            "link fingerprint try/link.toml",
        ),
        Command(
            "epoch",
            "endpoints.cli.link:epoch",
            "Open the next epoch in a link file, once people on both sides have agreed.",
            "epoch try/link.toml",
        ),
        Command(
            "doctor",
            "endpoints.cli.doctor:doctor",
            "Find everything that will not work, before it does not.",
            "doctor try/eucom/endpoint.toml",
        ),
    ),
    RUNNING: (
        Command("broker", "endpoints.cli.broker:broker", "Run Mosquitto on the files of `init`.", "broker try"),
        Command("run", "endpoints.cli.run:run", "Run one side's endpoint.", "run try/eucom/endpoint.toml"),
        Command("watch", "endpoints.cli.run:watch", "Run the independent watch.", "watch try/watch/watch.toml"),
        Command(
            "status",
            "endpoints.cli.status:status",
            "How the link stands: exit 0 fine, 10 late, 11 alarm, 12 unknown.",
            "status try/eucom/endpoint.toml --follow",
        ),
        Command(
            "schedule",
            "endpoints.cli.schedule:schedule",
            "The next line tests: UTC and both sites' local time.",
            "schedule try/eucom/endpoint.toml -n 4",
        ),
    ),
    DUTY: (
        Command("test", "endpoints.cli.officer:line_test", "Place a line test.", "test try/eucom/endpoint.toml"),
        Command(
            "alert",
            "endpoints.cli.officer:alert",
            "Write an alert; prints its reference.",
            "alert try/eucom/endpoint.toml --category air_pursuit --precedence routine --text ru=... --text en=... "
            "--officer watch-1 --wait received",
        ),
        Command(
            "release",
            "endpoints.cli.officer:release",
            "Release another officer's alert.",
            "release try/eucom/endpoint.toml draft/3 --officer watch-2",
        ),
        Command(
            "answer",
            "endpoints.cli.officer:answer",
            "Answer a line test, retyping its three words.",
            "answer try/ndmc/endpoint.toml eucom/1/7 --officer duty-1 --words 'лодка окно ручей'",
        ),
        Command(
            "acknowledge",
            "endpoints.cli.officer:acknowledge",
            "Acknowledge an alert.",
            "acknowledge try/ndmc/endpoint.toml eucom/1/42 --officer duty-1 --decision understood",
        ),
        Command(
            "refuse",
            "endpoints.cli.officer:refuse",
            "Refuse an alert, perhaps with a referral to another channel.",
            "refuse try/eucom/endpoint.toml ndmc/1/3 --officer watch-1 --reason out_of_scope --referral ministers",
        ),
        Command(
            "cancel",
            "endpoints.cli.officer:cancel",
            "Cancel an alert of one's own, or discard a draft.",
            "cancel try/eucom/endpoint.toml eucom/1/42 --officer watch-1",
        ),
        Command(
            "messages",
            "endpoints.cli.messages:messages",
            "The messages of both directions.",
            "messages try/eucom/endpoint.toml --follow",
        ),
        Command(
            "alarms list",
            "endpoints.cli.alarms:alarms_list",
            "The alarms that are not both over and acknowledged.",
            "alarms list try/eucom/endpoint.toml",
        ),
        Command(
            "alarms acknowledge",
            "endpoints.cli.alarms:alarms_acknowledge",
            "Say that an officer has seen an alarm.",
            "alarms acknowledge try/eucom/endpoint.toml broker_unreachable/broker --officer watch-1",
        ),
    ),
    RECORD: (
        Command(
            "log verify",
            "endpoints.cli.log:log_verify",
            "Check a journal's chain and signatures: exit 0 intact, 4 damaged.",
            "log verify try/eucom/journal/eucom-ndmc --link-file try/link.toml",
        ),
        Command(
            "log show",
            "endpoints.cli.log:log_show",
            "Show a journal's records.",
            "log show try/eucom/journal/eucom-ndmc",
        ),
        Command(
            "replay",
            "endpoints.cli.replay:replay",
            "Fold a journal through the core again: exit 0 identical, 5 diverged.",
            "replay try/eucom/journal/eucom-ndmc --until 2022-11-29T12:00:00.000Z",
        ),
        Command(
            "reconcile",
            "endpoints.cli.replay:reconcile",
            "Lay the two sides' journals together: exit 0 agree, 6 disagree.",
            "reconcile try/eucom/journal/eucom-ndmc try/ndmc/journal/eucom-ndmc",
        ),
    ),
}
GROUPS = {
    "link": ("The public link file, the same on both sides.", "link fingerprint try/link.toml", SETTING_UP),
    "alarms": ("The alarms of a running endpoint.", "alarms list try/eucom/endpoint.toml", DUTY),
    "log": ("The journal: what happened, and whether it is whole.", "log verify try/eucom/journal/eucom-ndmc", RECORD),
}
"""Words that have commands below them."""


def build() -> App:
    """Return the command line's application."""
    app = App(
        name="deconflict",
        help=_help("A signed, journaled link between two military headquarters that knows when it is dead.", "demo"),
        version=lambda: version("deconfliction-link"),
        help_format="plaintext",
        # main() below says what went wrong, and with which code
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
    )
    for word, (purpose, example, group) in GROUPS.items():
        app.command(App(name=word, help=_help(purpose, example), help_format="plaintext", group=group))
    for group, commands in COMMANDS.items():
        for command in commands:
            *above, word = command.words.split()
            parent = app[above[0]] if above else app
            parent.command(
                command.target,
                name=word,
                help=_help(command.purpose, command.example),
                group=None if above else group,
            )
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with the command's code.

    A person's mistake is one line on standard error; an interrupt and a reader that went away are no mistakes; only a
    bug of ours shows a traceback.
    """
    from protocol.errors import LinkError

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = build()(words)
        sys.stdout.flush()
    except UnknownCommandError:
        code = _complain(_unknown(words), EXIT_USAGE)
    except CycloptsError as error:
        code = _complain(_folded(str(error)).rstrip(".") + f"; see: deconflict {_path(words)}--help", EXIT_USAGE)
    except LinkError as error:
        code = _complain(_folded(str(error)), getattr(error, "exit_code", EXIT_FAILED))
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        from endpoints.cli.output import silence_stdout

        silence_stdout()
        code = EXIT_BROKEN_PIPE
    sys.exit(code if isinstance(code, int) else 0)


def _complain(what: str, code: int) -> int:
    sys.stderr.write(f"deconflict: {printable(what)}\n")
    return code


def _path(words: Sequence[str]) -> str:
    """Return the command that `words` begin with, and a space."""
    known = [command.words for commands in COMMANDS.values() for command in commands] + list(GROUPS)
    for length in (2, 1):
        if (path := " ".join(words[:length])) in known:
            return path + " "
    return ""


def _unknown(words: Sequence[str]) -> str:
    """Say which command there is instead. cyclopts' own words would import every command, for a second."""
    path = _path(words).strip()
    typed = " ".join(words[: len(path.split()) + 1])
    known = [command.words for commands in COMMANDS.values() for command in commands]
    here = [each for each in known if each.startswith(path)] if path else [*known, *GROUPS]
    close = get_close_matches(typed, here, n=1)
    right = f"did you mean: deconflict {close[0]}" if close else f"see: deconflict {_path(words)}--help"
    return f"no command {typed[:60]!r}; {right}"


def _help(purpose: str, example: str) -> str:
    return f"{purpose}\n\nExample: deconflict {example}"


def _folded(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
