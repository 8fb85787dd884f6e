"""The yardsticks: what the same exchange costs with less, over the same broker, with the same TLS and size."""
