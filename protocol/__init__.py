"""The protocol's core: no I/O, no clock, no randomness. Time and bytes come in as arguments (SPEC.md)."""
