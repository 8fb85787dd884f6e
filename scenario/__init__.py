"""Plays scenario files, either through real processes (a day) or in the simulated world (a month)."""
