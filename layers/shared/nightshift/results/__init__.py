"""Data classes that the jobs return. Slack text, JSON answers and CLI tables are all made from them, elsewhere.

Each job's classes have a module of their own, and callers import the one they mean: no function loads another's at its
cold start.
"""
