"""Two routers of the same nodes, and how they come to lead each bucket of a group to the same one."""
