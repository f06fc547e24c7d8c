"""`rehearse`: restores the newest backup into a scratch database, compares it, and records the proof. Weekly."""
