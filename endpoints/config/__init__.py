"""Configuration: reads TOML files as typed values, and writes the files of `init` and `enrol`."""
