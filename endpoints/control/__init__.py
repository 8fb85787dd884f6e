"""The control socket: its application, its server and client, and what it reports."""
