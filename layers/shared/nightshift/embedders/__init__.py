"""Embedding models behind one port: Amazon Titan on Bedrock, and a local one for demos and tests."""

from nightshift.embedders.make import make_embedder
from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded, TextEmbedder

__all__ = ["EmbeddingBatchResult", "EmbeddingDeadlineExceeded", "TextEmbedder", "make_embedder"]
