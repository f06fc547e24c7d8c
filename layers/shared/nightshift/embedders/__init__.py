"""Embedding models behind one port: Amazon Titan on Bedrock, and a local one for demos and tests."""
