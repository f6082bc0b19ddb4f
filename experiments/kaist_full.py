"""All of KAIST at once: 31 walking users and every access point, each a process of its own.

    sudo python experiments/kaist_full.py
    sudo python experiments/kaist_full.py --duration 60

The 31 test people walk through their busiest ten minutes; an access point with an edge server
stands in each of the 351 cells that anyone ever visits, and all of them are up. Answers are
computed before the clock starts (`--compute memo`) and replayed with the devices' timing; as many
queries are executed too as the machine has time for. Time is dilated as much as the machine needs
(`--tdf auto`): by 1.5 on two processors that nobody else uses, a quarter of an hour for the ten
minutes.

The seed is one that splits the people so that the 31 are in the window throughout; with most others
one of them leaves it.
"""

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.launch import main
from testbed.settings.experiment import Compute, Experiment, Migration, Model, Replay, Traces

EVERYWHERE_M = 3000.0  # from anyone's path: all of the window

EXPERIMENT = Experiment(
    name="kaist_full",
    traces=Traces(margin_m=EVERYWHERE_M),
    replay=Replay(clients=31, start="busiest", duration_s=600),
    model=Model(
        name="inception", client_device="odroid-xu4", server_device="titan-xp", distinct_inputs=2
    ),
    migration=Migration(policy="perdnn", radius_m=50, ttl_intervals=5),
    compute=Compute(mode="memo", tdf="auto"),
    seed=11,
)

if __name__ == "__main__":
    main(EXPERIMENT)
