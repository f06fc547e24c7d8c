"""Pictures for the Slack reader. Pillow belongs to this room alone, and only the function that draws carries it."""
