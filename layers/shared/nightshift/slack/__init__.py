"""Builds and sends the Slack messages.

`phrases` has the words, `formatter` the numbers and times. `renderer` and one module a job build the messages,
`notifier` sends them.
"""
