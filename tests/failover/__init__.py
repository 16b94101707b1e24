"""No flow breaks: what established connections notice of nodes that leave, join, drain and die."""
