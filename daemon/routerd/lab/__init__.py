"""The embedded lab: a router, its nodes and a client in network namespaces, on one machine."""
