"""The configuration: one TOML file, read and checked into frozen models."""
