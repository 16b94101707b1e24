"""The kernel room: netlink and sysctls. The only importer of pyroute2."""
