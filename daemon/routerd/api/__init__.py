"""The HTTP API on the Unix socket, and the shapes of what it answers."""
