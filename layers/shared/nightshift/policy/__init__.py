"""Models of the policy file: a TOML file with one entry per job and table, for retention, expiry and embedding."""
