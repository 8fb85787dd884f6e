"""Clocks, an exercise's timetable, and the slots of the schedule."""
