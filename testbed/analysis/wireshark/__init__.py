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

    Raises:
        ConfigurationError: it cannot be written there.
    """
    user = os.environ.get("SUDO_USER")
    home = Path(pwd.getpwnam(user).pw_dir) if user and os.geteuid() == 0 else Path.home()
    target = home / _PLUGINS / DISSECTOR.name
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DISSECTOR, target)
        if user and os.geteuid() == 0:
            owner = pwd.getpwnam(user)
            for path in (*missing, target):
                os.chown(path, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written: {error.strerror}") from error
    return target
