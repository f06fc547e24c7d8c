"""Charts for the Slack reader. Only this package uses Pillow, and only the function that draws has it in its layer."""
