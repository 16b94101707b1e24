"""Two routers before the same nodes: the traffic moves from one to the other."""
