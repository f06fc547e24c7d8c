"""Writes backups of whole databases to S3, restores them, and verifies them by restores.

The manifest describes a backup, and is written last. A backup exists as soon as its manifest exists. See `manifest`.
"""
