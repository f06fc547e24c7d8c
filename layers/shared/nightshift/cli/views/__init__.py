"""Formats facts for people. Pure: a view is given facts and returns the text to print."""
