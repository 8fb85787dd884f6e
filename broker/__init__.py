"""The broker between the two sides: Mosquitto, its configuration and its certificates."""
