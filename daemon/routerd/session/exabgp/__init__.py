"""All that touches ExaBGP: subclasses that make its reactor a route server's speaker. Runs in the child."""
