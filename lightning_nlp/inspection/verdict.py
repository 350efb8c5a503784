"""What is wrong with data, and how bad it is.

`severe` means that the result of a training would mislead, so that `inspect` ends with exit code 1:

- More than 0.5% of the validation or test texts stand in train after cleaning, or more than 5% of them nearly do (five
  words out of six in the same order): a good score may then be memory.
- More than 1% of the labelled rows have a text that also has another label: no model can be right on them, and cleaning
  keeps whichever label came first.
- A class makes up less than 1% of train, or a class of train is absent from validation or test: its figures mean
  nothing, and accuracy is high without it.
- More than half of the texts lose words to `max_length`.
- More than 5% of the words' tokens are unknown: the tokenizer is not made for these texts.

A `warning` is what usually has a cure and sometimes is meant (imbalance, long texts, other languages). A `note` says
what cleaning has done already, or what is worth knowing. Each is one line that names the number and the cure.
"""

from __future__ import annotations

from typing import Any

Finding = dict[str, str]

LEAKED, NEAR_LEAKED, CONFLICTING, RARE_CLASS, CUT, UNKNOWN = 0.005, 0.05, 0.01, 0.01, 0.5, 0.05  # severe above (below)
SOME_CUT, SOME_UNKNOWN, IMBALANCE, OTHER_LANGUAGE, MARKUP, EMPTY = 0.25, 0.01, 10, 0.02, 0.01, 0.01  # warnings above
NEAR_CONFLICTING, TOO_EASY, SUSPICIOUS = 0.001, 0.995, 0.15


def finding(severity: str, text: str) -> Finding:
    """One line of the verdict."""
    assert severity in ("severe", "warning", "note")
    return {"severity": severity, "text": text}


def token_findings(facts: dict[str, Any], *, max_length: int, counts: dict[str, Any]) -> list[Finding]:
    """What the token cache shows.

    Args:
        facts: Of `token_facts`.
        max_length: The data module's.
        counts: What cleaning counted (`CleaningCounts`), by split.

    Returns:
        Findings, in order of the checks.
    """
    found = []
    splits = facts["splits"]
    for split, part in splits.items():
        copies = part["copies_of_train"]
        if copies:
            share = copies / part["rows"]
            cure = (
                "they differ in what the tokenizer drops, such as capitals, or after the cut"
                if counts["deduplicate"]
                else "--data.deduplicate true takes them out of train"
            )
            severity = "severe" if share > LEAKED else "note" if counts["deduplicate"] else "warning"
            found.append(
                finding(severity, f"{copies:,} of {part['rows']:,} {split} rows ({share:.2%}) stand in train: {cure}.")
            )
    train = splits["train"]
    share = train["cut"] / max(train["texts"], 1)
    if share > SOME_CUT:
        found.append(
            finding(
                "severe" if share > CUT else "warning",
                f"{share:.0%} of the training texts lose words to --data.max_length {max_length}: raise it, or keep "
                "their ends too with --data.truncation head_tail.",
            )
        )
    for split, part in splits.items():
        rate = part["unknown_rate"]
        if rate is not None and rate > SOME_UNKNOWN:
            found.append(
                finding(
                    "severe" if rate > UNKNOWN else "warning",
                    f"{rate:.1%} of the tokens of {split} are unknown to the tokenizer: give another --data.tokenizer, "
                    "or train one on these texts (a larger --data.vocab_size).",
                )
            )
    return found + _class_findings(facts)


def _class_findings(facts: dict[str, Any]) -> list[Finding]:
    names = facts["label_names"]
    if names is None:
        return []
    found = []
    train = facts["splits"]["train"]["class_counts"]
    total = max(sum(train), 1)
    rare = [f"{name!r} ({count:,})" for name, count in zip(names, train, strict=True) if count / total < RARE_CLASS]
    if rare:
        found.append(
            finding(
                "severe",
                f"{_these(rare)} of the {total:,} training texts: less than {RARE_CLASS:.0%}. Join such classes, find "
                "more of them, or give --model.class_weights balanced and watch val/f1 instead of accuracy.",
            )
        )
    elif max(train) > IMBALANCE * min(train):
        found.append(
            finding(
                "warning",
                f"The largest class of train has {max(train):,} texts, the smallest {min(train):,}: watch val/f1 "
                "instead of accuracy, and try --model.class_weights balanced.",
            )
        )
    for split in ("validation", "test"):
        counts = facts["splits"][split]["class_counts"]
        absent = [repr(name) for name, here, there in zip(names, counts, train, strict=True) if there and not here]
        if absent:
            found.append(
                finding("severe", f"No {split} text has the label {_these(absent)}: its figures cannot be measured.")
            )
    return found


def text_findings(report: dict[str, Any]) -> list[Finding]:
    """What reading the texts shows.

    Args:
        report: All that `inspect` gathered; a part that was left out is None.

    Returns:
        Findings, in order of the checks.
    """
    found = _duplicate_findings(report)
    for split, part in report["raw"].items():
        clean = report["settings"]["clean"]
        if part["empty"] + part["incomplete"] > EMPTY * part["rows"]:
            found.append(
                finding(
                    "warning",
                    f"{part['empty'] + part['incomplete']:,} of {part['rows']:,} rows of {split} have no text (or no "
                    "label): look at the columns and at how the file was made.",
                )
            )
        breaks = part["markup"]["line breaks"]
        if breaks:
            share = breaks / part["rows"]
            what = f"{share:.0%} of the {split} texts hold <br />"
            found.append(
                finding("note", f"{what}; cleaning turns it into line breaks.")
                if clean
                else finding("warning", f"{what}, which --data.clean true would turn into line breaks.")
            )
        left = {name: part["markup_left"][name] for name in ("tags", "entities", "broken characters")}
        for name, number in left.items():
            if number > MARKUP * part["rows"]:
                found.append(
                    finding(
                        "warning",
                        f"{number:,} of {part['rows']:,} {split} texts hold {name} that cleaning leaves: strip them "
                        "before the training.",
                    )
                )
    language = report["language"]
    for split, part in (language or {}).items():
        if part["others"] > OTHER_LANGUAGE * part["texts"]:
            most = ", ".join(f"{name} {number}" for name, number in list(part["other_languages"].items())[:3])
            found.append(
                finding(
                    "warning",
                    f"{part['others']:,} of {part['texts']:,} {split} texts looked at are not in {part['language']!r} "
                    f"({most}): is that meant?",
                )
            )
    return found + _baseline_findings(report["baseline"])


def _duplicate_findings(report: dict[str, Any]) -> list[Finding]:
    found = []
    exact, near = report["duplicates"], report["near_duplicates"]
    if exact["repeats"] or exact["shared_texts"]:
        done = "cleaning drops them from train" if report["settings"]["deduplicate"] else "they are left in"
        repeats = ", ".join(f"{number:,} within {split}" for split, number in exact["repeats"].items() if number)
        shared = ", ".join(f"{number:,} in {pair}" for pair, number in exact["shared_texts"].items() if number)
        if repeats:
            found.append(finding("note", f"Repeated texts: {repeats}; {done}."))
        if shared:
            found.append(finding("note", f"Texts that stand in two splits: {shared}; {done}."))
    conflicts = exact["conflicts"]
    if conflicts["texts"]:
        share = conflicts["rows"] / max(exact["rows"], 1)
        found.append(
            finding(
                "severe" if share > CONFLICTING else "warning",
                f"{conflicts['texts']:,} texts ({conflicts['rows']:,} rows, {share:.2%}) stand there with different "
                "labels: decide which one is right; cleaning keeps the first of train.",
            )
        )
    for pair, number in near["shared_texts"].items():
        held_out = pair.rsplit(" and ", 1)[-1]
        share = number / near["texts"][held_out]
        found.append(
            finding(
                "severe" if share > NEAR_LEAKED else "warning" if share > LEAKED else "note",
                f"{share:.2%} of the {held_out} texts ({number:,}) are almost the same as one of train, which cleaning "
                "does not see: a good score on them may be memory.",
            )
        )
    if near["conflicts"]:
        few = near["conflicts"] <= NEAR_CONFLICTING * sum(near["texts"].values())
        found.append(
            finding(
                "note" if few else "warning",
                f"Pairs of almost equal texts with different labels: {near['conflicts']:,}; look at them.",
            )
        )
    return found


def _baseline_findings(baseline: dict[str, Any] | None) -> list[Finding]:
    if not baseline or "accuracy" not in baseline:
        return []
    found = []
    accuracy, majority = baseline["accuracy"], baseline["majority"]
    if accuracy <= majority + 2 * baseline["error"]:
        found.append(
            finding(
                "warning",
                f"A linear model of words and word pairs is right on {accuracy:.1%}, no better than always the most "
                f"frequent label ({majority:.1%}): are the labels in the order of the texts?",
            )
        )
    if accuracy > TOO_EASY:
        found.append(
            finding(
                "warning",
                f"A linear model of words and word pairs is right on {accuracy:.2%}: do the texts spell out the label?",
            )
        )
    if baseline["suspicious"] > SUSPICIOUS * baseline["texts"]:
        found.append(
            finding(
                "warning",
                f"{baseline['suspicious']:,} of {baseline['texts']:,} labels look wrong to the linear model: read "
                "those listed before you trust the labels.",
            )
        )
    return found


def _these(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
