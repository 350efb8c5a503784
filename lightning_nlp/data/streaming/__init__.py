"""Corpora too large for memory and disk: read shard by shard, tokenized and batched on the fly."""
