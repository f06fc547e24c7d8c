"""Data classes that the jobs return. Other packages render them as Slack messages, JSON answers and CLI tables.

Each job's classes are in a separate module, so that the cold start of a function does not load the classes of other
jobs.
"""
