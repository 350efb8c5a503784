"""A run as one page that opens anywhere: without network, account or extra software."""
