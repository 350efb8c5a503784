"""The command line: arguments, checks, config files, output."""

OVERVIEW = """\
usage: train.py COMMAND [arguments]

commands:
  fit       train, test the best checkpoint and export it: --config configs/cls.yaml, and what it should not say
  inspect   look at the data before the training, as a report: --config, like fit; exit code 1 for severe findings
  validate  measure a checkpoint on the validation part: --run runs/cls/0
  test      measure it on the test split: --run runs/cls/0
  predict   predict for a file of texts: --run runs/cls/0 --input reviews.txt --output predictions.jsonl

`train.py COMMAND --help` explains each argument of a command."""
