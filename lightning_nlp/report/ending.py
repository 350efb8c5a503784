"""What a training leaves however it ends: facts.json, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import one_line, warn_user
from lightning_nlp.privacy import paths_with_tilde
from lightning_nlp.report.run_files import FACTS


def report_end(run_dir: Path, facts: dict[str, Any], state: str) -> None:
    """Write facts.json and report.html, or warn; `state` is finished, interrupted or failed."""
    if not (run_dir / "config.yaml").is_file():
        return
    try:
        text = json.dumps({"state": state, **paths_with_tilde(facts)}, ensure_ascii=False, indent=1)
        write_whole(run_dir / FACTS, text)
        # here, since its import takes time and its errors must not end a training
        from lightning_nlp.report.page import write_report

        write_report(run_dir)
    except Exception as error:
        warn_user(
            f"The report of {run_dir} was not written ({type(error).__name__}: {one_line(error)}); to write it later: "
            f"python -m lightning_nlp.report {run_dir}"
        )
