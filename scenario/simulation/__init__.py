"""The simulated world: real cores and loops in virtual time, decided by one seed."""
