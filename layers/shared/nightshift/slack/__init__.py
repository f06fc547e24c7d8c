"""Builds and sends the Slack messages.

`catalogs` and `formatter` hold the words, `renderer` and one module a job build the messages, `notifier` sends them.
"""
