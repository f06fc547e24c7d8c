"""The Slack layer.

`catalogs` and `formatter` hold the words, `renderer` and one module a job build the messages, `notifier` sends them.
"""
