from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# os_ken under the names that Ryu gives to the same things, and no os_ken
ONLY_RYU = """
import sys
import os_ken.base.app_manager, os_ken.controller.ofp_handler, os_ken.ofproto.ofproto_v1_3
from os_ken.lib import hub

patched = []
hub.patch = lambda: patched.append(True)
os_ken.base.app_manager.RyuApp = os_ken.base.app_manager.OSKenApp
for name in [name for name in sys.modules if name.partition(".")[0] == "os_ken"]:
    sys.modules["ryu" + name.removeprefix("os_ken")] = sys.modules[name]
    sys.modules[name] = None

from controllers import framework, shortest_path
assert framework.AppManager is sys.modules["ryu.base.app_manager"].AppManager
assert issubclass(shortest_path.ShortestPath, framework.Application)
assert patched == [True]
"""


def test_applications_take_ryu_where_os_ken_is_not_installed() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ONLY_RYU], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
