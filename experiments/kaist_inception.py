"""KAIST's walking users offload Inception to edge servers at Wi-Fi access points (section IV.B).

    sudo python experiments/kaist_inception.py
    sudo python experiments/kaist_inception.py --policy ionn --clients 3 --duration 150

Eight of KAIST's people walk through five minutes of a day: those in which they change access points
as often as in the median of all five minutes (`--start busiest`: most often). Servers begin with
what they hold by then. An access point with an edge
server stands in each 50 m cell that anyone visits; a client's link carries 50 Mbit/s down and 35
Mbit/s up. Each client queries its own Inception (21,841 classes, 135 MB of weights) 0.5 s after the
last answer. Every 30 s the master predicts where clients walk next and has their layers sent ahead.
"""

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.launch import main
from testbed.settings.experiment import Compute, Experiment, Migration, Model, Replay

EXPERIMENT = Experiment(
    name="kaist_inception",
    replay=Replay(clients=8, start="typical", duration_s=300),
    model=Model(name="inception", client_device="odroid-xu4", server_device="titan-xp"),
    compute=Compute(tdf="auto"),
    migration=Migration(policy="perdnn", radius_m=100, ttl_intervals=5),
    seed=1,
)

if __name__ == "__main__":
    main(EXPERIMENT)
