"""routerd, FRR and BIRD side by side: `python -m benchmarks --help`, and docs/benchmarks.md for the method."""
