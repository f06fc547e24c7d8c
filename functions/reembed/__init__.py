"""`reembed`: embeds the current text of documents with the current model. Readers never see vectors of two models."""
