"""The Hub: pretrained folders, and retries of its requests."""
