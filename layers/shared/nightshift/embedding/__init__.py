"""Documents get embeddings of their current text: `source` what the policy means in the database, `session` what is
asked of that database, `batch` one transaction of embeddings, `sweep` one way through all documents, `switch` another
model for all of them at once, `table` one policy's turn."""
