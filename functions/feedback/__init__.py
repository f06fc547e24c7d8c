"""`feedback`: counts a day's votes on answers, decides whether to re-embed the documents, and reports on Slack."""
