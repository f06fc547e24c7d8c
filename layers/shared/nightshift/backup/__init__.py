"""Takes whole-database backups to S3, restores them, and verifies them by restores.

A backup exists once its manifest has been written, which is last. The manifest describes the backup. See `manifest`.
"""
