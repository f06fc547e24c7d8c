"""The Slack layer: words (`texts`, `words`), facts to Block Kit (`blocks`, one file per job), sending (`notifier`)."""
