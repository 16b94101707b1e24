"""Long tests: `make soak`. Their figures stand in docs/failover.md."""
