"""Private keys, officers' credentials, and the files that hold them."""
