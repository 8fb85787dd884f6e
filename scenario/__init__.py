"""Plays a scenario: through real processes (a day) or through the simulated world (a month)."""
