"""Continue under the project's own interpreter, whichever Python started the experiment.

`sudo python experiments/NAME.py` runs the system's Python, which lacks the packages. Importing this
module first replaces the process by the same command under `.venv`, and makes the project's folders
importable.
"""

import os
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_VENV = _REPOSITORY / ".venv"

if Path(sys.prefix).resolve() != _VENV.resolve() and (_VENV / "bin" / "python").exists():
    python = str(_VENV / "bin" / "python")
    os.execv(python, [python, *sys.argv])

sys.path.insert(0, str(_REPOSITORY))
