"""Embedding models with one interface: Amazon Titan on Bedrock, and a local model for demos and tests."""
