"""Backups: a whole database of one moment in S3, the way back, and the proof that it works.

A backup is what its manifest says, and it exists because its manifest does: that is written last. See `manifest`.
"""
