"""The Wireshark dissector of the testbed's protocol, and how it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from testbed.errors import ConfigurationError

DISSECTOR = Path(__file__).with_name("perdnn.lua")
#: Where Wireshark and tshark look for a user's own plugins on Unix.
_PLUGINS = Path(".local", "lib", "wireshark", "plugins")


def install_dissector() -> Path:
    """Copy the dissector to the user's plugins, those of who called sudo; return where it is.

    An earlier version of it is replaced. To have it no longer, remove the file. Raise
    ConfigurationError if it cannot be written there, or another plugin has its name.
    """
    user = os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
    account = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    home = Path(account.pw_dir if user else os.environ.get("HOME") or account.pw_dir)
    first_line = DISSECTOR.read_bytes().partition(b"\n")[0]
    target = home / _PLUGINS / DISSECTOR.name
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        if target.exists() and not target.read_bytes().startswith(first_line):
            raise ConfigurationError(f"{target}: is another plugin; remove or rename it first")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DISSECTOR, target)
        if user:
            for path in (*missing, target):
                os.chown(path, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written: {error.strerror}") from error
    return target
