"""Walks through guides on their machines: types every command, compares what it prints, hands the files over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.guides.guide import Command, GuideError, HandOver, read
from tests.guides.machines import WITHIN_S, Machines, Shell
from tests.guides.transcript import filled, fingerprint, match, parts, spoken

_AGAIN_AFTER_S = 0.5


class Walk:
    """One walk through one or several guides; words that a guide keeps are known to the next."""

    def __init__(self, machines: Machines, tell: Callable[[str], None]) -> None:
        """Prepare a walk; `tell` takes what happens, in lines."""
        self._machines = machines
        self._tell = tell
        self._kept: dict[str, str] = {}
        self._heard: dict[str, tuple[str, ...]] = {}
        self._read_up_to: dict[Shell, int] = {}
        """How much of what a command in its own terminal prints was waited for."""

    def through(self, path: Path) -> None:
        """Follow the guide `path`. Raises GuideError for the first step that does not go as it says."""
        for step in read(path):
            if isinstance(step, HandOver):
                self._tell(f"# {step.source} hands {step.path} to {step.to}, as {step.target}")
                self._machines.hand_over(step)
            elif step.stop:
                self._stop(step)
            elif step.own_terminal:
                self._start(step)
            elif step.shows:
                self._read(step)
            else:
                self._run(step)

    # --- a command ------------------------------------------------------------------------------------------------

    def _run(self, command: Command) -> None:
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                self._once(command)
            except GuideError:
                if not command.repeat or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_AFTER_S)
            else:
                return

    def _once(self, command: Command) -> None:
        shell = self._machines.shell(command.machine)
        line = filled(command.line, self._kept)
        shell.begin(line)
        begin, shown = 0, ""
        *asked, last = parts(command.prints)
        for question in asked:
            self._expect(shell, command, question.prints, begin)
            typed = self._typed(command, question.typed)
            shown += f"{shell.printed[begin:]}{typed}\n"
            begin = len(shell.printed)
            shell.type(typed + "\n")
        self._end(command, shell)
        if command.prints.strip():
            self._expect(shell, command, last.prints, begin)
        self._say(command, line, shown + shell.printed[begin:])
        if words := fingerprint(shell.printed):
            self._heard[command.machine] = words

    def _start(self, command: Command) -> None:
        line = filled(command.line, self._kept)
        shell = self._machines.own_shell(command.machine, line)
        shell.begin(line)
        self._await(command, line, shell)

    def _read(self, command: Command) -> None:
        line, shell = self._own(command)
        self._await(command, f"{line}  # its terminal", shell)

    def _await(self, command: Command, line: str, shell: Shell) -> None:
        """Wait for what a command in its own terminal prints, after what was waited for before."""
        begin = self._read_up_to.get(shell, 0)
        end = begin + self._expect(shell, command, command.prints, begin, whole=False)
        self._read_up_to[shell] = end
        self._say(command, line, shell.printed[begin:end])
        if shell.exit_code is not None:
            raise _fault(command, f"has ended with {shell.exit_code}", shell)

    def _stop(self, command: Command) -> None:
        line, shell = self._own(command)
        begin = len(shell.printed)
        shell.type("\x03")
        self._end(command, shell)
        self._say(command, f"{line}  # stopped with Ctrl-C", shell.printed[begin:])
        self._machines.closed(command.machine, line)

    def _own(self, command: Command) -> tuple[str, Shell]:
        """Return the command and the terminal in which it goes on. Raises GuideError."""
        line = filled(command.line, self._kept)
        shell = self._machines.running(command.machine, line)
        if shell is None:
            raise GuideError(f"{command.at}: {command.machine} does not run {line}")
        return line, shell

    def _end(self, command: Command, shell: Shell) -> None:
        if not shell.wait(lambda _: shell.exit_code is not None):
            raise _fault(command, f"has not ended within {WITHIN_S:.0f} s", shell)
        if shell.exit_code not in command.exit_codes:
            raise _fault(
                command, f"exit code {shell.exit_code}, not {' or '.join(map(str, command.exit_codes))}", shell
            )

    # --- its parts ------------------------------------------------------------------------------------------------

    def _expect(self, shell: Shell, command: Command, prints: str, begin: int, *, whole: bool = True) -> int:
        """Wait until the command prints what the guide says, after `begin`; return where that ends."""
        if not shell.wait(lambda printed: match(prints, printed[begin:], whole=whole) is not None):
            raise _fault(command, "does not print what the guide says", shell)
        matched = match(prints, shell.printed[begin:], whole=whole)
        assert matched is not None
        end, kept = matched
        self._kept |= kept
        return end

    def _typed(self, command: Command, typed: str) -> str:
        try:
            return spoken(filled(typed, self._kept), self._heard)
        except KeyError as error:
            raise GuideError(f"{command.at}: {error.args[0]} has printed no words to read aloud") from None

    def _say(self, command: Command, line: str, printed: str) -> None:
        self._tell(f"{command.machine}$ {line}")
        if printed.strip():
            self._tell(printed.strip("\n"))


def _fault(command: Command, what: str, shell: Shell) -> GuideError:
    said = f"\n--- the guide says:\n{command.prints}" if command.prints.strip() else ""
    return GuideError(
        f"{command.at}: {command.machine}$ {command.line}\n{what}\n--- it printed:\n{shell.printed.strip()}{said}"
    )
