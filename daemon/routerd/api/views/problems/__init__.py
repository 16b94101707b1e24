"""What `routerd status` calls a problem, a topic a file: generators over the core's state and more."""
