"""What is on the wire: canonical bytes, envelopes, messages, keys (SPEC F, M1, M2, B)."""
