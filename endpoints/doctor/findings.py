"""What the doctor reports: what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from endpoints.errors import UserError, os_reason
from protocol.errors import LinkError
from protocol.phrases import Phrase, worded

Grade = Literal["error", "warning", "hint"]
"""An error prevents a start or a line; a warning will, or weakens it; a hint is in order for a trial."""


class Finding(Struct, frozen=True):
    """One thing that will prevent the process from working, or that weakens it.

    Attributes:
        check: the check that found it, such as `keys` or `journal/eucom-ndmc`.
        severity: how bad it is.
        where: the file, address, folder or link concerned; `finding` may begin with it.
        finding: what is wrong.
        remedy: what would be right; empty if `finding` says it.
    """

    check: str
    severity: Grade
    where: str
    finding: str
    remedy: str = ""

    @property
    def what(self) -> str:
        """What is wrong, without the place, and what would be right."""
        return self.told(str).removeprefix(f"{self.where}: ")

    def __str__(self) -> str:
        return self.told(str)

    def told(self, say: Callable[[str], str]) -> str:
        """Return the finding in one text, whose phrases `say` translates."""
        finding = say(self.finding)
        begin = "" if finding.startswith(f"{self.where}: ") else f"{self.where}: "
        return begin + "; ".join(each for each in (finding, say(self.remedy)) if each)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `doctor --json`."""
        return {
            "check": self.check,
            "severity": self.severity,
            "where": self.where,
            "finding": str(self.finding),
            "remedy": str(self.remedy),
            # both in one
            "what": self.what,
        }


class Report:
    """Collects the findings of the checks that run one after the other."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.hints: list[Finding] = []
        """What an attacker profits from and a trial on one machine may have: no reason not to start."""
        self.checked: list[str] = []
        """The names of the checks that have run."""

    @contextmanager
    def checking(self, check: str, where: Path | str) -> Iterator[None]:
        """Run the check `check`; an error in it is a finding about `where`, if it names no place of its own."""
        self.checked.append(check)
        with self.trying(where):
            yield

    @contextmanager
    def trying(self, where: Path | str) -> Iterator[None]:
        """Record an error as a finding about `where`, if it names no place of its own."""
        try:
            yield
        except UserError as error:
            said = worded(error)
            place, separator, _ = str(error).partition(": ")
            # a file stands first as a value of the text; words that stand there are translated, and name no place
            own = separator and not (isinstance(said, Phrase) and not said.template.startswith("{"))
            self.add(place if own else where, said)
        except LinkError as error:
            self.add(where, worded(error))
        except OSError as error:
            self.add(error.filename or where, os_reason(error))

    def add(self, where: Path | str, finding: str, remedy: str = "", *, severity: Grade = "error") -> None:
        """Add a finding of the running check, or a hint, once."""
        kept = self.hints if severity == "hint" else self.findings
        made = Finding(self.checked[-1], severity, str(where), finding, remedy)
        if not any((each.where, each.finding) == (made.where, made.finding) for each in kept):
            kept.append(made)
