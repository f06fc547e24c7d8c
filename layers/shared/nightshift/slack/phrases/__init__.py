"""Phrases of the Slack messages. Each phrase is defined in Korean and in English."""
