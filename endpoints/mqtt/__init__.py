"""MQTT: the transports of the endpoint and of the watch."""
