"""What `routerd status` calls a problem, a topic a file."""
