"""Evaluates the users' ratings of one day, and decides whether to start re-embedding.

`windows` computes the reported day; `source` and `ratings` find the votes; `vote_counts` counts them; `decision` is
pure; `decision_log` records each decision once; `evaluation` does all of these in order, and sends the event.
"""
