"""Where a training step would wait for its device: what runs with gradients, which fake tensors do not cover.

The sources of these files are walked for whatever reads a value of a tensor, and each place is known with its reason.
"""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "lightning_nlp"
METHODS = {"item", "tolist", "numpy", "cpu", "nonzero", "unique", "masked_select", "bincount", "synchronize"}
CONVERSIONS = {"bool", "float", "int"}


def reads(path):
    """The expressions in a file that read a value, if they are given a tensor."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None)
            converts = isinstance(node.func, ast.Name) and node.func.id in CONVERSIONS and node.args
            if name in METHODS or converts:
                found.append(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Compare | ast.UnaryOp | ast.BinOp):
            if not isinstance(getattr(node.slice, "operand", None), ast.Constant):  # x[-1]
                found.append(node)
        elif isinstance(node, ast.If | ast.IfExp) and isinstance(node.test, ast.Name):
            found.append(node.test)
        elif isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Subscript):
            found.append(node.value)
    return {ast.unparse(node) for node in found}


HOST, LOG_STEP = "a number or a list of the host", "in log steps only, or where the device is waited for anyhow"
KNOWN = {
    "training/gradients.py": {"gradients": HOST, "norms": HOST},
    "training/optimizer.py": {},
    "training/schedules.py": {"bool(every)": HOST, "ends": HOST, "int(batches * limit)": HOST},
    "training/counts.py": {},
    "training/flops.py": {"trained": HOST, "int(count)": LOG_STEP},
    "models/losses.py": {},
    "callbacks/nonfinite.py": {
        **dict.fromkeys(["bool(optimizer.defaults.get('fused'))", "fused", "norms"], HOST),
        "flags.tolist()": LOG_STEP,
        "failed": "in fp16, whose scaler waits in each step as well; and on a CPU",
    },
    "callbacks/throughput.py": {
        "tokens_per_batch": HOST,
        **dict.fromkeys(["int(interval.counts.tokens)", "torch.cuda.synchronize()"], LOG_STEP),
    },
    "callbacks/ema.py": {},
    "callbacks/divergence.py": {"float(self._sum)": LOG_STEP},
    "callbacks/progress.py": {
        **dict.fromkeys(["hours", "minutes"], HOST),
        **dict.fromkeys(["logged['train/loss']", "logged['perf/tokens_per_s']"], LOG_STEP),
        "trainer.callback_metrics[monitor]": LOG_STEP,
    },
}


@pytest.mark.parametrize("file", KNOWN)
def test_each_read_is_known_and_has_its_reason(file):
    assert reads(HOUSE / file) == set(KNOWN[file])


def test_a_read_would_be_found(tmp_path):
    lines = ["x.item()", "float(x)", "y[x != 0]", "y[~x]", "y[x & z]", "x.tolist()", "1 if x else 2", "f'{x[0]:.2f}'"]
    path = tmp_path / "step.py"
    path.write_text("\n".join(lines) + "\ny[-1]\ny[1:]\nfloat()\n", encoding="utf-8")
    assert len(reads(path)) == len(lines)
