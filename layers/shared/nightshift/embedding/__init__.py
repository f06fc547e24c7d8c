"""Embeds documents whose text or model has changed.

Modules: `source` finds a policy's tables and columns; `document_store` runs the queries; `batch` embeds and writes one
batch; `document_scan` examines all documents once; `model_migration` replaces the model of all documents at once;
`table` processes one policy.
"""
