"""Continue under the project's own interpreter, whichever Python started the experiment.

`sudo python experiments/NAME.py` runs the system's Python, which lacks the packages. Importing this
module first replaces the process by the same command under `.venv`, and makes the project's folders
importable. Without `.venv`, an interpreter that has the packages itself will do.
"""

import importlib.util
import os
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_PYTHON = _REPOSITORY / ".venv" / "bin" / "python"
_MACHINE_UNFIT = 3  # the exit status of everything that the machine lacks

if _PYTHON.exists():
    # The folder is compared, not the file: every interpreter of .venv links to the system's.
    if Path(sys.executable).parent.resolve() != _PYTHON.parent.resolve():
        os.execv(_PYTHON, [str(_PYTHON), *sys.argv])
elif importlib.util.find_spec("msgspec") is None or importlib.util.find_spec("torch") is None:
    sys.stderr.write(f"error: {_REPOSITORY} is not set up; run {_REPOSITORY}/install.sh\n")
    sys.exit(_MACHINE_UNFIT)

sys.path.insert(0, str(_REPOSITORY))
