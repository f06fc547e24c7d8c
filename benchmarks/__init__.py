"""nightshift beside its peers: one command, one table, ratios."""
