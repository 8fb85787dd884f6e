"""The rules of a link: events in, effects out (SPEC M, R, E, B, P, W)."""
