"""Checks an installation, and reports what prevents a start or a line, before it does."""
