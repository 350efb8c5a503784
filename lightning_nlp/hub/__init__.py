"""The Hub: pretrained folders, and patience with its requests."""
