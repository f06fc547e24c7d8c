"""The day's logs, saved beside the database: events of CloudWatch log groups, or the files of a host's directory.

Logs never stop a backup. What could not be saved is told in a sentence each, and the manifest has it under `missing`.
"""
