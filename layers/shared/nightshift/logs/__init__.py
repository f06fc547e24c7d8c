"""Saves the day's logs beside the database backup: events of CloudWatch log groups, or the files of a host's directory.

A failure to save logs never stops a backup. The manifest's `missing` has one sentence for each log that was not saved.
"""
