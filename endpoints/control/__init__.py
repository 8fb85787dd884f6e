"""The control socket: its application, server and client, and the views that it returns."""
