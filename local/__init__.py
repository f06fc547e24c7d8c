"""Servers that run on this machine, for the demo, the tests and the benchmark. Nothing here is deployed."""
