"""The broker between the two sides: Mosquitto as a process, its configuration and its certificates."""
