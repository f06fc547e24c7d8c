"""Pictures for the Slack reader. Matplotlib belongs to this room alone, and only the function that draws carries it."""
