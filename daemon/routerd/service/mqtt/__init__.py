"""What this router tells a broker, and what it is asked by it: gathered, not sent."""
