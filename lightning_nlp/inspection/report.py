"""The report of `inspect` in words: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning_nlp.inspection.steps import BUSY

SHOWN = 10  # rows of each list of examples; the JSON file has more
COLOURS = {"severe": "bold red", "warning": "yellow", "note": "dim"}


class Section(NamedTuple):
    """A part of the report: figures with their names, then lines."""

    title: str
    rows: list[tuple[str, str]]
    lines: list[str]


def print_report(report: dict[str, Any]) -> None:
    """Print all sections, the verdict last, where one looks.

    Args:
        report: Of `inspection.command.gather`, with `seconds`.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    # Text, because rich takes square brackets, as texts may have them, for markup.
    console = Console(highlight=False)
    for section in sections(report):
        if not (section.rows or section.lines):
            continue
        console.print(Text(section.title, style="bold"), soft_wrap=True)
        if console.is_terminal:
            table = Table(show_header=False, box=None, pad_edge=True)
            table.add_column(style="cyan", no_wrap=True)
            table.add_column(overflow="fold")
            for row in section.rows:
                table.add_row(*map(Text, row))
            console.print(table)
        else:
            for name, value in section.rows:
                console.print(Text(f"  {name}: {value}"), soft_wrap=True)
        for line in section.lines:
            if console.is_terminal:
                console.print(Padding(Text(line), (0, 0, 0, 2)))
            else:
                console.print(Text(f"  {line}"), soft_wrap=True)
        console.print()
    for finding in report["findings"]:
        severity = finding["severity"]
        console.print(Text.assemble((severity, COLOURS[severity]), f": {finding['text']}"), soft_wrap=True)
    number = sum(finding["severity"] == "severe" for finding in report["findings"])
    end = f"{number} severe finding{'' if number == 1 else 's'}" if number else "Nothing severe"
    console.print(f"{end}; looked for {report['seconds']:.0f} s.")


def sections(report: dict[str, Any]) -> list[Section]:
    """What the report says, in order.

    Args:
        report: As in `print_report`.
    """
    tokens = report["tokens"]
    parts = [
        Section(f"Data: {tokens['source']}", _sizes(report), []),
        Section("Cleaned and held out", [], tokens["cleaning"]),
        Section("Labels", _labels(report), []),
        Section("Lengths", _lengths(report), []),
        Section("Tokenizer", _tokenizer(tokens["tokenizer"]), []),
        Section("Texts that stand there more than once", *_duplicates(report)),
        Section("Markup", _markup(report), []),
        Section("Languages", *_languages(report)),
        Section("The accuracy to beat", *_baseline(report["baseline"])),
        Section("On this machine", _step(report["step"]), []),
    ]
    return parts


def _sizes(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for split, part in report["raw"].items():
        value = f"{part['rows']:,} rows, {part['characters']:,} characters, {part['words']['all']:,} words"
        for name in ("empty", "incomplete"):
            value += f", {part[name]:,} {name}" if part[name] else ""
        rows.append((split, value))
    return rows


def _labels(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            split,
            ", ".join(f"{label} {number:,} ({number / part['rows']:.1%})" for label, number in part["labels"].items()),
        )
        for split, part in report["raw"].items()
        if part["labels"]
    ]


def _lengths(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for split, part in report["raw"].items():
        words = part["words"]
        value = f"median {words['median']:,}, p90 {words['p90']:,}, p99 {words['p99']:,}, longest {words['longest']:,}"
        rows.append((f"{split}, words", value))
    most = report["settings"]["max_length"]
    for split, part in report["tokens"]["splits"].items():
        mean = part["tokens"] / max(part["texts"], 1)
        cut = f", {part['cut'] / max(part['texts'], 1):.1%} cut at max_length {most}"
        split_up = f", {part['rows'] - part['texts']:,} parts more of texts beyond {most}"
        value = f"mean {mean:.1f}{split_up if part['rows'] > part['texts'] else cut}"
        rows.append((f"{split} after cleaning, tokens", value))
    rows.append(("train, tokens", _histogram(report["tokens"]["lengths"])))
    return rows


def _histogram(lengths: dict[str, list[int]]) -> str:
    bars, counts, edges = " ▁▂▃▄▅▆▇█", lengths["train"], lengths["edges"]
    height = max(counts)
    return (
        f"{edges[0]} " + "".join(bars[-(-8 * count // height)] for count in counts) + f" {edges[-1]}, {edges[1]} a bar"
    )


def _tokenizer(facts: dict[str, Any]) -> list[tuple[str, str]]:
    unknown = "has no unknown token" if facts["unknown_rate"] is None else f"{facts['unknown_rate']:.3%}"
    return [
        ("vocabulary", f"{facts['vocab_size']:,}, {facts['used'] / facts['vocab_size']:.1%} of it used in train"),
        ("unknown tokens", unknown),
        ("characters per token", f"{facts['chars_per_token']:.2f}"),
        ("folds case", "yes" if facts["lowercase"] else "no"),
    ]


def _duplicates(report: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    exact, near = report["duplicates"], report["near_duplicates"]
    rows = [
        (f"repeats within {split}", f"{number:,}" + (f" ({exact['verbatim'][split]:,} verbatim)" if number else ""))
        for split, number in exact["repeats"].items()
    ]
    rows += [(f"texts in {pair}", f"{number:,}") for pair, number in exact["shared_texts"].items()]
    conflicts = exact["conflicts"]
    rows.append(("with different labels", f"{conflicts['texts']:,} texts, {conflicts['rows']:,} rows"))
    left = {s: p["copies_of_train"] for s, p in report["tokens"]["splits"].items() if s != "train"}
    rows += [(f"{split} rows in train, after cleaning", f"{number:,}") for split, number in left.items()]
    rows += [(f"almost the same, within {split}", f"{number:,}") for split, number in near["repeats"].items()]
    rows += [(f"almost the same, in {pair}", f"{number:,}") for pair, number in near["shared_texts"].items()]
    if near["conflicts"]:
        rows.append(("almost the same, different labels", f"{near['conflicts']:,} (pairs)"))
    among = ", ".join(f"{number:,} of {split}" for split, number in near["texts"].items())
    rows.append(("almost the same: looked for among", f"{among} (different texts; {near['threshold']:.0%} or more)"))
    lines = []
    for example in [*exact["examples"][: SHOWN // 2], *near["examples"][: SHOWN // 2]]:
        how = f"{example['similarity']:.0%}" if "similarity" in example else "equal"
        labels = f" [{example['labels']}]" if example["labels"] else ""
        lines.append(f"{how}: {example['first']} = {example['again']}{labels}: {example['text']}")
    return rows, lines


def _markup(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for split, part in report["raw"].items():
        found = [
            f"{name} in {number:,} ({number / max(part['rows'], 1):.1%}"
            + (f", {part['markup_left'][name]:,} after cleaning)" if part["markup_left"][name] != number else ")")
            for name, number in part["markup"].items()
            if number
        ]
        rows.append((split, ", ".join(found) or "none"))
    return rows


def _languages(report: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    rows, lines = [], []
    for split, part in report["language"].items():
        others = ", ".join(f"{name} {number}" for name, number in list(part["other_languages"].items())[:6])
        what = f", {part['others']:,} surely in another ({others})" if part["others"] else ", none surely in another"
        rows.append((split, f"{part['language']}, of {part['texts']:,} texts looked at{what}"))
        lines += [f"{e['language']}: {e['where']}: {e['text']}" for e in part["examples"][: SHOWN // 2]]
    return rows, lines


def _baseline(baseline: dict[str, Any] | None) -> tuple[list[tuple[str, str]], list[str]]:
    if baseline is None:
        return [], []
    if "skipped" in baseline:
        return [("left out", baseline["skipped"])], []
    rows = [
        (
            "logistic regression on words and pairs",
            f"{baseline['accuracy']:.4f} ± {baseline['error']:.4f}",
        ),
        ("macro F1", f"{baseline['f1']:.4f}"),
        ("always the most frequent label", f"{baseline['majority']:.4f}"),
        ("measured on", f"{baseline['texts']:,} training texts, 5-fold cross-validation"),
        ("labels that it cannot believe", f"{baseline['suspicious']:,}"),
    ]
    lines = [
        f"{e['where']}: {e['label']} ({e['probability']:.1%}), likelier {e['likelier']}: {e['text']}"
        for e in baseline["examples"][:SHOWN]
    ]
    return rows, lines


def _step(step: dict[str, Any] | None) -> list[tuple[str, str]]:
    if step is None:
        return []
    if "skipped" in step:
        return [("not measured", step["skipped"])]
    epoch, error = step["epoch_seconds"], f"± {step['tolerance']:.0%} or so"
    rows = [
        ("parameters", f"{step['parameters']:,}"),
        (
            "a step",
            f"{step['step_seconds']:.3f} s (of {step['steps']}: {step['fastest']:.3f} to {step['slowest']:.3f}), "
            f"{step['tokens_per_step']:,} tokens",
        ),
        ("tokens/s", f"{step['tokens_per_s']:,}"),
        ("an epoch", f"{_duration(epoch)} {error}, {step['batches_per_epoch']:,} batches; validation comes on top"),
        ("memory", f"{step['memory_gib']:.2f} GiB at its highest so far; test and export come on top"),
    ]
    if step["cpu_share"] is not None and step["cpu_share"] < BUSY:
        idle = _duration(epoch * step["cpu_share"])
        busy = f"this process had {step['cpu_share']:.0%} of its threads' time; alone, an epoch may take {idle}"
        rows.append(("the machine is busy", busy))
    if step["epochs"]:
        rows.insert(4, (f"{step['epochs']} epochs", f"{_duration(epoch * step['epochs'])} {error}, at most"))
    return rows


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
