"""The OpenFlow framework underneath: os_ken or, where only that is installed, Ryu (same API).

Applications import its names from here. The framework's own way to start applications takes no
arguments for them and lives until it is killed; `start` does both.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

try:
    from os_ken.base.app_manager import AppManager
    from os_ken.base.app_manager import OSKenApp as Application
    from os_ken.controller import ofp_event
    from os_ken.controller.controller import datapath_connection_factory
    from os_ken.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from os_ken.controller.ofp_handler import OFPHandler
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_v1_3
except ModuleNotFoundError:
    from ryu.lib import hub

    hub.patch()  # Ryu runs on eventlet: threads and sockets have to become its own, first of all
    from ryu.base.app_manager import AppManager
    from ryu.base.app_manager import RyuApp as Application
    from ryu.controller import ofp_event
    from ryu.controller.controller import datapath_connection_factory
    from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from ryu.controller.ofp_handler import OFPHandler
    from ryu.ofproto import ofproto_v1_3

__all__ = [
    "DEAD_DISPATCHER",
    "MAIN_DISPATCHER",
    "Application",
    "ofp_event",
    "ofproto_v1_3",
    "set_ev_cls",
    "start",
]


class _Handshake(OFPHandler):
    """The framework's handshake with switches, listening by the time that `start` returns."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__()
        self._listen_at = address, port

    def start(self) -> Any:
        Application.start(self)  # the event loop, without OFPHandler's listener in a thread
        server = hub.StreamServer(self._listen_at, datapath_connection_factory)
        return hub.spawn(server.serve_forever)


def start(application: type[Application], address: str, port: int, **settings: Any) -> Application:
    """Start an application with its settings and listen for switches; return the application.

    Raises OSError when the address and TCP port cannot be listened at.
    """
    started: Future[Application] = Future()

    def build() -> None:
        try:
            manager = AppManager.get_instance()
            running = manager.instantiate(application, **settings)
            manager.instantiate(_Handshake, address, port)
            manager.instantiate_apps()
        except Exception as error:
            started.set_exception(error)
        else:
            started.set_result(running)

    # The framework's threads never end. A thread that a daemon starts is a daemon too, and ends
    # with the process.
    threading.Thread(target=build, daemon=True).start()
    return started.result()
