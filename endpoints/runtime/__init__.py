"""The running links: the loop, its work queue, and one runner for each link."""
