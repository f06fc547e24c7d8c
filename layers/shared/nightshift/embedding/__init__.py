"""Documents get embeddings of their current text.

`source` resolves a policy in the database; `document_store` is what the engine asks of that database; `batch` is one
transaction of embeddings; `document_scan` goes through all documents once; `model_migration` replaces the model for all
of them at once; `table` processes one policy.
"""
