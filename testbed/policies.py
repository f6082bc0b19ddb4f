"""What a migration policy of one's own is made from; these names stay where they are.

from testbed.policies import PerDnn
"""

from testbed.decision.benefit import Benefit
from testbed.decision.following import FollowMe, Pull
from testbed.decision.policies import Cloud, Ionn, Optimal, PerDnn, Routing, Visits, find_policy
from testbed.decision.policy import Policy, PolicySettings, Situation
from testbed.decision.popularity import Popular

__all__ = ["Benefit", "Cloud", "FollowMe", "Ionn", "Optimal", "PerDnn", "Policy"]
__all__ += ["PolicySettings", "Popular", "Pull", "Routing", "Situation", "Visits", "find_policy"]
