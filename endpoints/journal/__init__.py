"""The journal on disk: writing, reading, following and printing it."""
