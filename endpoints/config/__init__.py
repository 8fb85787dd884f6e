"""Configuration: TOML files to typed values and back, and the files that `init` and `enrol` make."""
