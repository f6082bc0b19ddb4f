"""Another reading of the paper's limit at crowded servers."""

from testbed.policies import PerDnn


class SendersLimited(PerDnn):
    """Crowded servers send a fraction; what others send to them is whole."""

    memoryless = True

    def is_limited(self, source: str, destination: str) -> bool:
        """Whether the sender is crowded."""
        return source in self.settings.crowded
