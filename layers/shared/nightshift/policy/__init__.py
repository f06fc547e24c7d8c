"""The policy file: what is kept how long, and what goes when. TOML, one section a table and job."""
