"""What routerd tells the outside about itself: the log."""
