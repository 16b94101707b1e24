"""routerd: a BGP route server for the router in front of a bare-metal Kubernetes cluster."""

__version__ = "0.1.0"
