"""How the processes of a run share the processors."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_GETATTR = {"x86_64": 315, "aarch64": 275}
_READ = f"""
import ctypes, struct
attributes = ctypes.create_string_buffer(56)
assert ctypes.CDLL(None).syscall({_GETATTR.get(platform.machine())}, 0, attributes, 56, 0) == 0
_, policy, _, niceness, _, runtime_ns, *_ = struct.unpack("=IIQiIQQQII", attributes.raw)
print(policy, niceness, runtime_ns)
"""
_START = """
import os, sys
from testbed.emulation.sandbox.background import take_short_turns
os.nice(3)
take_short_turns()
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split(".")[:2])


@pytest.mark.skipif(
    platform.machine() not in _GETATTR or _release() < (6, 12), reason="the kernel has no slices"
)
def test_what_is_started_takes_short_turns_and_keeps_its_niceness() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _START, _READ], check=True, capture_output=True, text=True
    )
    assert said.stdout.split() == ["0", str(os.nice(0) + 3), "300000"]
