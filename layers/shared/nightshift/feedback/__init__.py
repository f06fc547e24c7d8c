"""Evaluates the users' ratings of one day, and decides whether to start re-embedding.

`windows` computes the reported day; `source` and `ratings` find the votes; `daily_counts` counts them; `statistics` and
`decision` are pure; `decision_log` records each decision once; `event_publisher` sends it to the bus; `evaluation` does
all of these in order; `disliked` lists the documents behind disliked answers, for `reembed`.
"""
