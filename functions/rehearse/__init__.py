"""`rehearse`: restores the newest backup into a temporary database every week, compares both, and records the proof."""
