"""Audits a finished scenario: verifies and replays every journal, reconciles both sides and checks `expect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.journal.reader import STANDARD_INPUT, JournalReader
from protocol.errors import LinkError, at_record
from protocol.record.audit import Audit
from protocol.record.evidence import Evidence
from protocol.record.reconcile import reconcile
from protocol.record.replay import Replay
from protocol.record.trusted_files import TrustedFile
from protocol.wire.instants import Millis
from scenario.expect import Comparison, judge
from scenario.outcome import outcome
from scenario.steps import Scenario


class JournalCheck(Struct, frozen=True, kw_only=True):
    """The result of checking one journal, read from its folder or from a process's collected output."""

    journal: str
    link: str
    records: int
    signatures: int
    # problems of its hash chain and signatures
    problems: tuple[str, ...]
    # where the replay differs from the journal, and how
    divergence: str | None

    @property
    def sound(self) -> bool:
        """Whether the journal is intact and its replay identical."""
        return not self.problems and self.divergence is None


class FinalAudit(Struct, frozen=True, kw_only=True):
    """The result of auditing a finished scenario."""

    scenario: str
    journals: tuple[JournalCheck, ...]
    # number of messages in the two sides' journals, and whether the journals agree about them
    messages: int
    agree: bool
    findings: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        """Whether every journal is sound, the sides agree and every expectation is met."""
        return (
            self.agree
            and all(journal.sound for journal in self.journals)
            and all(finding.met for finding in self.findings)
        )

    def document(self) -> dict[str, Any]:
        """Return the result as JSON values, for `--json`."""
        return {
            "scenario": self.scenario,
            "passed": self.passed,
            "journals": [
                {
                    "journal": each.journal,
                    "link": each.link,
                    "records": each.records,
                    "signatures": each.signatures,
                    "intact": not each.problems,
                    "problems": list(each.problems),
                    "identical": each.divergence is None,
                    "divergence": each.divergence,
                }
                for each in self.journals
            ],
            "agree": self.agree,
            "messages": self.messages,
            "expect": [
                {
                    "what": each.what,
                    "about": each.about,
                    "link": each.link,
                    "expected": each.expected,
                    "found": each.found,
                    "met": each.met,
                }
                for each in self.findings
            ],
        }


def all_links(audits: Sequence[FinalAudit]) -> FinalAudit:
    """Return the audits of the links of one scenario as one."""
    return FinalAudit(
        scenario=audits[0].scenario,
        journals=tuple(each for audit in audits for each in audit.journals),
        messages=sum(audit.messages for audit in audits),
        agree=all(audit.agree for audit in audits),
        findings=tuple(each for audit in audits for each in audit.findings),
    )


def close(
    scenario: Scenario,
    slots: Sequence[Millis],
    file: LinkFile,
    folders: Mapping[str, Path],
    collected: Mapping[str, Path],
) -> FinalAudit:
    """Audit every journal of a link and compare the outcome with what the scenario expects.

    Args:
        scenario: the scenario that was played.
        slots: the link's slots within it.
        file: the link file, with whose keys the signatures are verified.
        folders: the journal folder of each process.
        collected: the collected standard output of each process, if there is any.
    """
    checks: list[JournalCheck] = []
    evidence: dict[str, Evidence] = {}
    for name, folder in folders.items():
        check, evidence[name] = examine(name, JournalReader(str(folder)), file)
        checks.append(check)
    for name, path in collected.items():
        with path.open("rb") as stream:
            check, _ = examine(f"{name}, standard output", JournalReader(STANDARD_INPUT, stdin=stream), file)
        checks.append(check)
    caller, answering = (evidence[party.id] for party in scenario.parties)
    reconciled = reconcile(*evidence.values())
    found = outcome(file.terms.policy, slots, caller.ledger, answering.ledger, reconciled)
    return FinalAudit(
        scenario=scenario.name,
        journals=tuple(checks),
        messages=len(reconciled.messages),
        agree=reconciled.agree,
        findings=judge(scenario.expect_of(file.terms.link), found, file.terms.link),
    )


def examine(name: str, reader: JournalReader, file: LinkFile) -> tuple[JournalCheck, Evidence]:
    """Verify one journal's chain and signatures, run it again; return the findings and its evidence."""
    trusted = TrustedFile("link file", file.terms, file.keys, file.watch_keys)
    replay, audit, evidence = Replay(), Audit([trusted]), Evidence()
    problems: list[str] = []
    try:
        for record in reader.records():
            if wrong := audit.take(record):
                problems.append(f"record {record.n}: {wrong}")
            replay.take(record)
            evidence.take(record)
    except LinkError as error:
        problems.append(str(error))
    problems += [at_record(each.record, each.reason) for each in reader.verification.problems]
    divergence = replay.divergence
    check = JournalCheck(
        journal=name,
        link=file.terms.link,
        records=reader.verification.records,
        signatures=audit.signatures,
        problems=tuple(problems),
        divergence=None if divergence is None else f"record {divergence.record}: {divergence.reason}",
    )
    return check, evidence
