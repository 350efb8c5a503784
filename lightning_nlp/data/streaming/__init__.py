"""Corpora that fit no memory and no disk: read shard by shard, tokenized and batched on the way."""
