"""What `status` calls a problem: a file a topic."""
