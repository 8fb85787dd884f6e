"""The shells: all input and output of an endpoint. What the link means lives in `protocol`."""
