"""Embeds documents whose text or model has changed.

`source` resolves a policy in the database; `document_store` runs the engine's queries there; `batch` embeds and writes
one batch; `document_scan` goes through all documents once; `model_migration` replaces the model for all of them at
once; `table` processes one policy.
"""
