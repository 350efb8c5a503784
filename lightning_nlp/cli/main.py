"""The program: runs a command, and says by its exit code how that ended."""

import contextlib
import io
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

from lightning_nlp.callbacks.last_checkpoint import SIGNALS, Interrupted, exit_on_signals
from lightning_nlp.cli import OVERVIEW
from lightning_nlp.cli.arguments import class_help, explain_parse_error, find_configs, split_run_arguments
from lightning_nlp.cli.commands import COMMANDS
from lightning_nlp.cli.config_file import configs
from lightning_nlp.cli.lightning_cli import CLI, PARSER
from lightning_nlp.cli.options import options_help
from lightning_nlp.cli.output import quiet_libraries
from lightning_nlp.errors import PROGRAM, UserError, printable
from lightning_nlp.run import processes
from lightning_nlp.training.precision import float32_products


def run(arguments: list[str], *, in_python: bool = False) -> Path | None:
    """Run one command.

    Args:
        in_python: Whether `lightning_nlp.fit` was called, for advice.

    Returns:
        The directory of a run that was trained.

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
            _call(command, arguments[1:])
            return None
        description = (COMMANDS[command].__doc__ or "").partition("\n")[0]
        cli = CLI(command, split_run_arguments(find_configs(arguments))[1:], description, in_python=in_python)
        with float32_products("high"):  # a training may round more than what is promised of its export
            return COMMANDS[command](cli, f"{PROGRAM} {shlex.join(arguments)}")
    except SystemExit as stop:
        if not stop.code and command in COMMANDS and {"--help", "-h"} & set(arguments):
            print(f"{class_help()}\n{options_help()}")
        raise
    except ArgumentError as error:
        raise UserError(explain_parse_error(error, command, lambda: shown_help(command))) from error


def _call(command: str, arguments: list[str]) -> None:
    from lightning_nlp.predict.command import predict

    function = configs if command == "configs" else predict
    parser = ArgumentParser(prog=f"{PROGRAM} {command}", **PARSER)
    parser.add_function_arguments(function)
    parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")
    options = parser.parse_args(arguments)
    function(**{name: value for name, value in options.as_dict().items() if name != "debug"})


def shown_help(command: str) -> str:
    """What `--help` prints for a command."""
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        run([command, "--help"])
    return shown.getvalue()


def main(args: Sequence[str] | None = None) -> None:
    """The program: exit code 0 for success, 2 for a user's mistake, 128 + n after signal n.

    A time limit (`--trainer.max_time`) counts as SIGALRM: 142. `inspect` gives 1 for severe findings.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    for i, argument in enumerate(arguments):
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


if __name__ == "__main__":
    main()
