"""Evaluates the users' ratings of one day, and decides whether to start re-embedding.

Modules: `windows` computes the reported day; `source` and `ratings` find the votes; `vote_counts` counts the votes;
`decision` decides by the counts; `decision_rule` and `decision_log` record each decision once; `evaluation` runs these
steps in order and sends the event.
"""
