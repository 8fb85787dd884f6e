"""Writes, reads, follows and prints journals on disk."""
