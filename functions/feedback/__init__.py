"""The `feedback` job."""
