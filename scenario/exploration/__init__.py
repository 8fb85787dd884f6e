"""Searches small worlds completely: every order of steps through the real cores, breadth first."""
