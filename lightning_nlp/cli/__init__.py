"""The command line: arguments, checks, configuration files, output."""
