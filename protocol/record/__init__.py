"""The journal of a link: its format, verification, audit, replay, ledger and reconciliation."""
