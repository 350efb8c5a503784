"""The program: runs a command, and says by its exit code how that ended."""

import importlib
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jsonargparse import ArgumentError

from lightning_nlp.callbacks.interrupt import SIGNALS, Interrupted, exit_on_signals
from lightning_nlp.cli import OVERVIEW
from lightning_nlp.cli.arguments import find_configs, split_run_arguments
from lightning_nlp.cli.lightning_cli import CLI
from lightning_nlp.cli.output import quiet_libraries
from lightning_nlp.errors import PROGRAM, UserError, printable
from lightning_nlp.run import processes
from lightning_nlp.training.precision import float32_products

# The module of each command that has a Trainer; the function in it has the command's name.
COMMANDS = {"fit": "fit", "inspect": "commands", "validate": "commands", "test": "commands"}


def run(arguments: list[str], *, in_python: bool = False) -> Path | None:
    """Run one command, and return the directory of a run that it trained.

    Args:
        in_python: Whether `lightning_nlp.fit` was called, for advice.

    Raises:
        UserError: For a user's mistake.
        Interrupted: If a signal or the time limit ended the training, which is saved.
    """
    command = arguments[0] if arguments else ""
    if command in ("--help", "-h"):
        print(OVERVIEW)
        return None
    if command not in (*COMMANDS, "predict", "configs"):
        given = f"{command!r} is no command" if command else "There is no command"
        names = f"{', '.join(COMMANDS)}, predict or configs"
        raise UserError(f"{given}: give {names}; `{PROGRAM} --help` says what they do.")
    quiet_libraries()
    try:
        if command in ("predict", "configs"):
            from lightning_nlp.cli.commands import without_trainer

            without_trainer(command, arguments[1:])
            return None
        module = importlib.import_module(f"lightning_nlp.cli.{COMMANDS[command]}")
        function: Callable[[CLI, str], Path | None] = getattr(module, command)
        description = (function.__doc__ or "").partition("\n")[0]  # for --help
        cli = CLI(command, split_run_arguments(find_configs(arguments))[1:], description, in_python=in_python)
        with float32_products("high"):  # faster, and precise enough for anything but an export
            return function(cli, f"{PROGRAM} {shlex.join(arguments)}")
    except SystemExit as stop:
        if not stop.code and command in COMMANDS and {"--help", "-h"} & set(arguments):
            from lightning_nlp.cli.explain import print_more_help

            print_more_help()
        raise
    except ArgumentError as error:
        from lightning_nlp.cli.explain import explain_parse_error

        raise UserError(explain_parse_error(error, command)) from error


def main(args: Sequence[str] | None = None) -> None:
    """The program: exit code 0 for success, 2 for a user's mistake, 128 + n after signal n.

    A time limit (`--trainer.max_time`) counts as SIGALRM: 142. `inspect` gives 1 for severe findings.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    for i, argument in enumerate(arguments):  # `--debug` alone: the parser wants a value
        if argument == "--debug" and all(after.startswith("-") for after in arguments[i + 1 : i + 2]):
            arguments[i] = "--debug=true"
    debug = "--debug=true" in arguments or "--debug true" in " ".join(arguments)
    try:
        with exit_on_signals():
            run_dir = run(arguments)
            processes.leave_process_group()
        if run_dir is not None and run_dir.is_dir() and processes.is_main_process():  # `fast_dev_run` leaves none
            print(run_dir, flush=True)
    except UserError as error:
        if debug:
            raise
        processes.print_error(printable(str(error)))
        sys.exit(2)
    except processes.ProcessLost as error:
        processes.print_error(f"{error}: see what it said, and go on with the same command and --resume auto.")
        sys.exit(1)
    except processes.MainProcessFailed:
        time.sleep(processes.SAME_ERROR_WAIT.total_seconds())  # the main one reports it, unless torchrun kills it first
        sys.exit(2)
    except Interrupted as stop:
        processes.leave_process_group()
        if processes.started_by_lightning():
            sys.exit(0)  # else Lightning kills the main process, which is still to report it
        if processes.is_main_process():
            print(stop, file=sys.stderr)
        sys.exit(128 + stop.number)
    except SystemExit as stop:
        if stop.code in {128 + number for number in SIGNALS}:
            print("Interrupted.", file=sys.stderr)
        raise


if __name__ == "__main__":  # torchrun -m lightning_nlp.cli.main
    main()
