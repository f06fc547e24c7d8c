"""Saves the day's logs beside the database backup: events of CloudWatch log groups, or the files of a host's directory.

Logs never stop a backup. The manifest lists logs that could not be saved under `missing`, a sentence each.
"""
