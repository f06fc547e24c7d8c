"""How long a function takes that nobody has called for a while: `python -m benchmarks.coldstart`."""
