"""Tests of the kernel room, against the real kernel in network namespaces."""
