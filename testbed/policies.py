"""What a migration policy of one's own is made from; these names stay where they are.

from testbed.policies import PerDnn
"""

from testbed.decision.benefit import Benefit
from testbed.decision.policies import (
    Cloud,
    Ionn,
    Optimal,
    PerDnn,
    Pull,
    Routing,
    Visits,
    find_policy,
)
from testbed.decision.policy import Policy, PolicySettings, Situation

__all__ = ["Benefit", "Cloud", "Ionn", "Optimal", "PerDnn", "Policy", "PolicySettings"]
__all__ += ["Pull", "Routing", "Situation", "Visits", "find_policy"]
