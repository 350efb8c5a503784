"""Tokens become batches: plans, budgets, collators, loaders."""
