"""The health listener: whether a process works, and its metrics for Prometheus."""
