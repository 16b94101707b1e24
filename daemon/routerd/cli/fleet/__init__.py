"""`routerd fleet`: all routers of a site in one table, read from their broker."""
