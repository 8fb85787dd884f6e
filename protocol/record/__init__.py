"""The record of a link: the journal's format, its audit, its replay, and what it says."""
