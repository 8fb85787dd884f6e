"""Clocks, the time of an exercise, and the slots of the schedule."""
