"""The command line `deconflict`, with one module for each group of commands."""
