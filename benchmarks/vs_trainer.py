"""The same training by the HF Trainer and by lightning_nlp, measured by one yardstick.

python benchmarks/vs_trainer.py --task mlm --device cpu --quick            # two minutes, no data needed
python benchmarks/vs_trainer.py --task mlm --path sentences.txt            # real tokens/s of a, b, c and d
python benchmarks/vs_trainer.py --task cls --path reviews --model CHECKPOINT --until-accuracy 0.85

README.md beside this file says what a, b, c and d are and what differs between them.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).parent.resolve()
TEXTS = {("mlm", "cpu"): 1500, ("cls", "cpu"): 600, ("mlm", "cuda"): 40_000, ("cls", "cuda"): 6_000}
RECIPE_STEPS = {"cpu": 12, "cuda": 100}
BATCH_SIZE = 16  # of the recipe, and of b
LR = {"mlm": 5e-4, "cls": 2e-5}  # those of configs/mlm.yaml and configs/cls.yaml
DIFFERENCES = """What differs: a computes in fp32 with dropout on attention weights and {padding}; b in {bf16} with
the same dropout, batches of similar length, 16 texts a step; c as b, without dropout on attention weights, with
{c_batch} texts a step, which is the mean of d; d is {ours}. The same for all: texts, initial weights, seed, {threads}
threads, AdamW's learning rate {lr:g}{peer_lr} and weight decay 0.01, clipping at 1, schedule ({schedule})."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--task", choices=("mlm", "cls"), required=True)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--quick", action="store_true", help="A generated corpus and a tiny model: shows that it runs, not how fast.")
    add("--path", help="Sentences (mlm) or labelled texts (cls), as --data.path takes them; nothing: the demo.")
    add("--model", help="A checkpoint, folder or Hub id; nothing: a DistilBERT from scratch.")
    add("--output", type=Path, help="Default: benchmarks/results/<task>_<device>.")
    add("--contenders", default=None, help="Letters; default abcd, with --until-* bcd.")
    add("--one-process", action="store_true", help="Import once: for GPUs, whose memory is counted for each run.")
    add("--repeats", type=int, help="Rounds; default 3, with --quick 1.")
    add("--texts", type=int, help="Training texts: b, c and d are timed over one epoch of them. 0 takes all.")
    add("--heldout", type=int, default=1000, help="Validation texts for --until-*.")
    add("--warmup", type=int, default=3, help="Steps before the clock starts.")
    add("--recipe-steps", type=int, help="Timed steps of a; default 12 on a CPU, 100 on a GPU.")
    add("--lr", type=float, help="Peak learning rate of d; default that of its configuration.")
    add("--peer-lr", type=float, help="Of a, b and c; default that of d.")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    add("--ours", default="", help='Further arguments of train.py for d, such as "--data.truncation head_tail".')
    add("--until-loss", type=float, help="mlm: measure the time to this held-out loss.")
    add("--until-accuracy", type=float, help="cls: measure the time to this validation accuracy.")
    add("--epochs", type=float, default=2, help="With --until-*: the run's length, over which the learning rate falls.")
    add("--eval-tokens", type=int, help="With --until-*: evaluate each so many tokens; default a tenth of an epoch.")
    add("--max-minutes", type=float, default=30, help="With --until-*: stop after so much training time.")
    add("--seed", type=int, default=42)
    args = parser.parse_args()
    until = {"loss": args.until_loss, "accuracy": args.until_accuracy}
    args.until = [(metric, value) for metric, value in until.items() if value is not None]
    if args.until and args.until[0][0] != {"mlm": "loss", "cls": "accuracy"}[args.task]:
        parser.error("--until-loss belongs to --task mlm, --until-accuracy to --task cls")
    if args.until and args.epochs != int(args.epochs):
        parser.error("--epochs must be whole")
    args.contenders = args.contenders or ("bcd" if args.until else "abcd")
    args.repeats = args.repeats or (1 if args.quick else 3)
    args.recipe_steps = args.recipe_steps or (3 if args.quick else RECIPE_STEPS[args.device])
    args.output = args.output or HERE / "results" / f"{args.task}_{args.device}{'_until' if args.until else ''}"
    args.lr = args.lr or LR[args.task]
    args.max_length = 128 if args.quick else 512
    if args.quick:
        args.heldout = min(args.heldout, 64)
    if args.texts is None:
        args.texts = 200 if args.quick else 0 if args.until else TEXTS[args.task, args.device]
    return args


def run(args: argparse.Namespace, script: str, job_file: Path, log: Path) -> None:
    """Run a contender, as a rule in a fresh process."""
    if args.one_process:
        torch = sys.modules["torch"]
        if torch.cuda.is_initialized():
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        importlib.import_module(script).main(str(job_file))
        return
    command = [sys.executable, str(HERE / f"{script}.py"), str(job_file)]
    with log.open("w", encoding="utf-8") as words:
        result = subprocess.run(command, stdout=words, stderr=words, check=False)
    if result.returncode != 0:
        tail = "".join(log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-15:])
        sys.exit(f"{shlex.join(command)} failed with exit code {result.returncode}; the end of {log}:\n{tail}")


def measure(args: argparse.Namespace, work: Path, common: dict[str, Any], contender: str, **job: Any) -> dict[str, Any]:
    """Run one contender once, in a process of its own."""
    job_file, result_file = work / "job.json", work / "result.json"
    result_file.unlink(missing_ok=True)
    job = common | {"contender": contender, "result": str(result_file), "work": str(work)} | job
    job_file.write_text(json.dumps(job), encoding="utf-8")
    run(args, "ours" if contender == "d" else "trainer_peer", job_file, args.output / f"{contender}.log")
    shutil.rmtree(work / "runs", ignore_errors=True)
    return json.loads(result_file.read_text(encoding="utf-8"))


def settings(args: argparse.Namespace, contender: str, facts: dict[str, Any], batches: int) -> dict[str, Any]:
    """What a contender's job has of its own; `batches` are those of d in an epoch."""
    size = max(1, round(facts["texts"] / batches)) if contender == "c" else BATCH_SIZE
    epoch_steps = batches if contender == "d" else -(-facts["texts"] // size)
    every = (args.eval_tokens or facts["tokens"] / 10) / (facts["tokens"] / epoch_steps)
    return {
        "batch_size": size,
        "steps": args.recipe_steps if contender == "a" and not args.until else None,  # None: one epoch
        "lr": args.lr if contender == "d" else args.peer_lr or args.lr,
        "eval_every_steps": max(1, round(every)),
    }


def main() -> None:
    """Prepare, take turns, report."""
    args = parse()
    args.output = args.output.resolve()
    args.output.mkdir(parents=True, exist_ok=True)
    os.environ |= {"TOKENIZERS_PARALLELISM": "true", "OMP_NUM_THREADS": str(args.threads)}  # before torch is imported
    sys.path.insert(0, str(HERE.parent))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    import corpus
    import yardstick

    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        work = Path(folder)
        device, facts = yardstick.device_facts(args.device), corpus.prepare(args, work / "prepared")
        print(f"{device['device']}; {facts['texts']:,} texts, {facts['tokens']:,} tokens; {facts['model']}", flush=True)
        common = {
            "task": args.task,
            "device": args.device,
            "prepared": str(work / "prepared"),
            "max_length": args.max_length,
            "warmup": args.warmup,
            "epochs": int(args.epochs),
            "seed": args.seed,
            "threads": args.threads,
            "workers": 4 if args.device == "cuda" else 0,
            "bf16": device["bf16"],
            "overrides": shlex.split(args.ours),
            "until": None,
        }
        # One step of d that does not count: it fills the cache of token ids, and says how many batches an epoch has.
        probe = measure(args, work, common, "d", steps=1, warmup=0, lr=args.lr)
        batches = probe["batches_per_epoch"]
        if args.until:
            metric, value = args.until[0]
            common["until"] = {"metric": metric, "value": value, "max_minutes": args.max_minutes}
        results = []
        for number in range(args.repeats):
            for contender in args.contenders:
                own = settings(args, contender, facts, batches)
                result = measure(args, work, common, contender, **own) | {"round": number}
                results.append(result)
                speed = result["tokens"] / result["seconds"]
                print(f"round {number + 1}, {contender}: {speed:,.0f} tokens/s in {result['steps']} steps", flush=True)
    write_report(args, facts, device, results, batches)


def write_report(
    args: argparse.Namespace, facts: dict[str, Any], device: dict[str, Any], results: list[dict[str, Any]], batches: int
) -> None:
    """Print and save the tables and every number."""
    if args.until:
        metric, value = args.until[0]
        summary = report.summarise_until(results, metric, value)
        table = report.markdown_until(summary, metric, value)
    else:
        summary = report.summarise(results, task=args.task, device=args.device, peak_flops=device["peak_flops"])
        table = report.markdown(summary, goals=not args.quick)
    differences = DIFFERENCES.format(
        padding=f"each text padded to {facts['longest']} tokens" if args.task == "cls" else "batches in random order",
        bf16="bf16" if device["bf16"] else "fp32, since this device is slower in bf16,",
        c_batch=settings(args, "c", facts, batches)["batch_size"],
        ours=f"`train.py fit --config configs/{args.task}.yaml{' ' + args.ours if args.ours else ''}`",
        threads=args.threads,
        lr=args.lr,
        peer_lr=f" ({args.peer_lr:g} for a, b, c)" if args.peer_lr else "",
        schedule=f"linear over {args.epochs:g} epochs, warmup 6%" if args.until else "constant",
    )
    peak = f"{device['peak_flops'] / 1e12:.3g} TFLOP/s ({device['source']})" if device["peak_flops"] else "not known"
    versions = ", ".join(sorted({f"torch {result['torch']}" for result in results}))
    head = (
        f"# {args.task} on {device['device']}\n\n`{shlex.join(['python', *sys.argv])}`\n\n{facts['model']}; "
        f"{facts['texts']:,} texts, {facts['tokens']:,} tokens, {facts['mean_length']:.1f} a text on average; "
        f"{args.repeats} rounds, medians (ranges); peak for MFU: {peak}; {versions}.\n\n"
    )
    if args.quick:
        head += "**A quick trial on generated texts with a tiny model: it shows that it runs, not how fast.**\n\n"
    text = f"{head}{table}\n{differences}\n"
    everything = {"command": sys.argv, "facts": facts, "device": device, "summary": summary, "results": results}
    (args.output / "results.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    (args.output / "results.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nSaved in {args.output}")


if __name__ == "__main__":
    main()
