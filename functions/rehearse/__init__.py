"""`rehearse`: the newest backup is restored into a scratch database, looked at, and stamped. Weekly."""
