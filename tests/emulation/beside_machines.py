"""Inside a sandbox: runs a command beside two machines, and then looks at what is left on them.

    python -m tests.emulation.beside_machines KEYS COMMAND...

`ssh m1` and `ssh m2` reach them, as `testbed.emulation.spread.remote` calls it. KEYS is a folder
for keys. A command that prints the line KILL is killed. Printed as JSON: the command's exit
`status`, the other lines that it `said`, and the programs `left` on the machines when it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from testbed.emulation.sandbox.sandbox import SCRATCH_ROOT
from testbed.emulation.sandbox.waiting import wait_until
from testbed.emulation.spread.remote import SSH_VARIABLE
from testbed.errors import EmulationError
from tests.emulation.machine_here import neighbours

MACHINES = ("m1", "m2")
KILL = "kill me"
_OWN = {"dropbear", "ps", "unshare"}  # what a machine has anyway, and who looks


def main(keys: str, *command: str) -> None:
    """Run the command and print what came of it."""
    with neighbours(Path(keys), MACHINES) as config:
        environment = os.environ | {SSH_VARIABLE: f"ssh -F {config}"}
        environment.pop("SUDO_USER", None)  # whose keys are of no use here
        before = set(SCRATCH_ROOT.iterdir())
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            if line.strip() == KILL:
                process.kill()
            else:
                said.append(line.rstrip())
        status = process.wait()
        for empty in set(SCRATCH_ROOT.glob(f"{process.pid}-*")) - before:
            empty.rmdir()  # all that a killed launcher leaves
        print(json.dumps({"status": status, "said": said, "left": left_after(config, 10)}))


def left_after(config: Path, deadline_s: float) -> dict[str, list[str]]:
    """Return the programs that still run on machines, by machine, after so many seconds."""
    try:
        wait_until(lambda: not left(config), "the machines to be empty", deadline_s)
    except EmulationError:
        return left(config)
    return {}


def left(config: Path) -> dict[str, list[str]]:
    """Return the programs that run on machines beside their own."""
    found = {}
    for machine in MACHINES:
        ps = ["ssh", "-F", str(config), machine, "ps", "-e", "-o", "comm="]
        programs = subprocess.run(ps, check=True, capture_output=True, text=True).stdout.split()
        if others := sorted(set(programs) - _OWN):
            found[machine] = others
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
