"""Options that several commands have."""

from __future__ import annotations

import click

from gpurig.cli import candidates

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
SET = click.option("--set", "wishes", multiple=True, metavar="rig_KEY=VALUE",
                   shell_complete=candidates.settings,
                   help="Set a setting; can be repeated.")  # fmt: skip
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print only verdicts and errors.")
VERBOSE = click.option("-v", "--verbose", is_flag=True,
                       help="Show the commands that change hosts.")  # fmt: skip
