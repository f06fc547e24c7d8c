"""Charts for Slack messages. Only this package uses Pillow. Pillow is in the Lambda layer `charts`."""
