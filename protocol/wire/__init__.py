"""The wire format: canonical JSON, envelopes, messages and keys (SPEC F, M1, M2, B)."""
