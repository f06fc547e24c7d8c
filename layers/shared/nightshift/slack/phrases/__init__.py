"""Phrases of the Slack messages, each in Korean and English side by side."""
