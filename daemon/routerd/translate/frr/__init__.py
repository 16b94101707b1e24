"""frr.conf, read as FRR reads it, and said again in the keys of routerd."""
