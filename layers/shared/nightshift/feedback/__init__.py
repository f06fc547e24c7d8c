"""Feedback: what users think of the answers, counted in the database and decided like a statistician would.

`window` says which day is meant; `source` and `ratings` find the votes; `counting` counts them; `statistics` and
`decision` are pure; `ledger` remembers what was decided, once a window; `announcing` tells the bus; `assessment` is the
whole of it; `disliked` names the documents behind disliked answers, for whoever embeds them again.
"""
