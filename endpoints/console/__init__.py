"""The duty officer's console: a web server of its own process, client of the control sockets, reader of the journals.

It signs nothing, and reads no signing key.
"""
