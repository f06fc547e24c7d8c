"""Connections to the user's database, except for bulk row data (`rows`).

Modules: addresses and TLS settings (`url`), connections (`connect`), descriptions of users' tables (`catalog`), one
module per dialect (`postgres`, `sqlite`), the definitions of nightshift's tables (`tables`), the lock that lets only
one run of a job work at a time (`lock`), and the run history (`history`).
"""
