"""Who has which address.

    10.0.x.y        access points and the master, numbered by Mininet
    10.1.x.y        clients; the address stays when the client moves
    10.255.255.254  the gateway of every host: nobody answers for it, its hardware address is known
    169.254.0.1     the controller, on the control network
    169.254.1.x     Open vSwitch processes there

A host sends everything to the gateway's hardware address. On the backhaul the switches route on
the destination address and write the receiver's hardware address at the last hop; on the air the
gateway is the access point. So there is no ARP, no flooding, and nothing for a client to learn
anew at a handover.
"""

from __future__ import annotations

import ipaddress

GATEWAY = "10.255.255.254"
GATEWAY_MAC = "02:00:00:00:00:01"
CONTROLLER_ADDRESS = "169.254.0.1"
_SWITCHES = ipaddress.IPv4Address("169.254.1.0")
_CLIENTS = ipaddress.IPv4Address("10.1.0.0")


def client_address(number: int) -> str:
    """Return the address of client 1, 2, ..."""
    return str(_CLIENTS + number)


def client_mac(number: int) -> str:
    """Return the hardware address of client 1, 2, ..."""
    return f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}"


def control_address(number: int) -> str:
    """Return the address of Open vSwitch 0, 1, ... on the control network."""
    return str(_SWITCHES + 1 + number)
