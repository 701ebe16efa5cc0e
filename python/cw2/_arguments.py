"""The command line of a program: that of the original, and the commands of cw2 behind the configuration."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["parse"]

#: What reads the results of a configuration, or the configuration itself.
ON_RESULTS = ("status", "logs", "retry", "cancel", "results", "report", "exec", "forget")
ON_CONFIG = ("list", "show")
#: Freezes a plan, as `-s` does, and prints its scripts.
PLAN = "plan"

Command = tuple[str, list[str]]


def parse(argv: Sequence[str] | None = None) -> tuple[dict[str, Any], Command | None]:
    """The arguments by the names of the original, and the command with its own arguments, where there is one."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = None
    if len(words) > 1 and not words[0].startswith("-") and words[1] in (*ON_RESULTS, *ON_CONFIG, PLAN):
        command = (words[1], words[2:])
        # What is planned is chosen as what is run.
        words = words[:1] if words[1] != PLAN else [words[0], *words[2:]]
    parser = _parser()
    args = vars(parser.parse_args(words))
    if args["slurm"] and args["prefix_with_timestamp"]:
        parser.error("-t is for runs on this machine: jobs of Slurm read no clock (-s)")
    return args, command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Behind the configuration there may be a command of cw2, with its own options:\n  "
        + ", ".join((PLAN, *ON_RESULTS, *ON_CONFIG))
        + "\nWithout one, and without -s, all repetitions run on this machine.",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG.yml", help="the sweep")
    add("-s", "--slurm", action="store_true", help="submit to Slurm")
    add("-e", "--experiments", nargs="+", metavar="NAME", help="only these experiments")
    add("-o", "--overwrite", action="store_true", help="run finished repetitions again")
    add("-j", "--job", type=int, metavar="N", help="only this job, from 0")
    add("-t", "--prefix-with-timestamp", action="store_true", help="begin the experiments' names with the time")
    add("--debug", action="store_true", help="one repetition of one iteration of each experiment's first run")
    add("--debugall", action="store_true", help="one repetition of one iteration of every run")
    add("--nocodecopy", action="store_true", help="make no snapshot of the code")
    add("--zip", action="store_true", help="make the snapshot an archive")
    add("--multicopy", action="store_true", help="make a snapshot for each job")
    add("--skipsizecheck", action="store_true", help="take snapshots of more than 200 MB too")
    add("--noconsolelog", action="store_true", help="do without the PythonLogger")
    return parser
