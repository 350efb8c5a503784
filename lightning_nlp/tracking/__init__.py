"""W&B: logger, charts, artifacts, dashboards."""
