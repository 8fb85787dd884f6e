"""Makes the contracts for machines in docs/contracts/ from the types: `python -m tests.contracts.make`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from endpoints.cli.json_outputs import OUTPUTS
from endpoints.texts.notices import AnyNotice
from scenario.steps import Scenario
from tests.contracts import control_api, topics, wire
from tests.contracts.typed import Schema, components, document, headed, opened, text_of

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"


def notification() -> Schema:
    """Return the schema of what receivers of notifications get."""
    kinds = get_args(AnyNotice)
    found, defs = components(kinds)
    return opened(
        headed(
            "Notification",
            "What a webhook gets as its body, a command on its standard input, the log as fields of a line: at least"
            " once, under a stable `id`. Later versions may add fields. `body` is what the other side sent, in their"
            " words: body.schema.json.",
            {"oneOf": found},
            defs,
        )
    )


def scenario() -> Schema:
    """Return the schema of scenario files."""
    return document(
        "Scenario",
        "A scenario file (docs/scenarios.md). What no schema can say: that steps follow in time, that each fits its"
        " side and what is up, that references lead to an earlier alert: `deconflict demo --check FILE` says it.",
        Scenario,
    )


def outputs() -> dict[str, Schema]:
    """Return the schema of each document that commands print with `--json`, by its file name."""
    return {
        f"output/{name}.schema.json": opened(document(name, " ".join(str(kind.__doc__).split()), kind))
        for name, (kind, _) in OUTPUTS.items()
    }


def contracts() -> dict[str, Schema]:
    """Return each contract by its file name."""
    return {
        "frame.schema.json": wire.frame(),
        "message-payload.schema.json": wire.message_payload(),
        "receipt-payload.schema.json": wire.receipt_payload(),
        "body.schema.json": wire.body(),
        "signed-head.schema.json": wire.signed_head(),
        "record.schema.json": wire.record(),
        "notification.schema.json": notification(),
        "scenario.schema.json": scenario(),
        "asyncapi.json": topics.document(),
        "openapi.json": control_api.document(),
        **outputs(),
    }


def main() -> None:
    """Write every contract, and remove what is none any more."""
    FOLDER.mkdir(exist_ok=True)
    made = {FOLDER / name: text_of(each) for name, each in contracts().items()}
    for path in set(FOLDER.rglob("*.json")) - set(made):
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
