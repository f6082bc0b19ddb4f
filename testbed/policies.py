"""What a migration policy of one's own is made from; these names stay where they are.

from testbed.policies import PerDnn
"""

from testbed.decision.benefit import Benefit
from testbed.decision.following import FollowMe, Pull
from testbed.decision.images import Download, Handoff
from testbed.decision.policies import Cloud, Ionn, Optimal, PerDnn, Routing, Visits, find_policy
from testbed.decision.policy import Image, Policy, PolicySettings, Situation
from testbed.decision.popularity import Popular

__all__ = ["Benefit", "Cloud", "Download", "FollowMe", "Handoff", "Image", "Ionn", "Optimal"]
__all__ += ["PerDnn", "Policy", "PolicySettings", "Popular", "Pull", "Routing", "Situation"]
__all__ += ["Visits", "find_policy"]
