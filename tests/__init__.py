"""The tests of routerd."""
