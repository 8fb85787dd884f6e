"""The running links: the loop, its work queue, one runner for each link, and the ports to everything outside."""
