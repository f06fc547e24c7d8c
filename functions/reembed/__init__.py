"""`reembed`: documents get embeddings of their current text by the current model, and readers never see two models."""
