"""Builds and sends the Slack messages.

`phrases` has the texts. `formatter` formats numbers and times. `renderer` and one module per job build the messages.
`notifier` sends the messages.
"""
