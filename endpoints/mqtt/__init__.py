"""The MQTT transports of the endpoint and of the watch."""
