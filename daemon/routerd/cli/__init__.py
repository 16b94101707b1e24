"""The commands that ask a running routerd, over its Unix socket."""
