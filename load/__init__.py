"""The load test of the link: `deconflict load`."""
