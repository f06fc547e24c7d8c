"""The policy file: retention, expiry and embedding of tables. TOML, one section a table and job."""
