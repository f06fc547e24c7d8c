"""Embedding models behind one port: Amazon Titan on Bedrock, and a local one for trying things out."""

from nightshift.embedders.make import make_embedder
from nightshift.embedders.port import Embedded, Embedder, OutOfTime

__all__ = ["Embedded", "Embedder", "OutOfTime", "make_embedder"]
