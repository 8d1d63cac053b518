"""A network that checks each site at its first use."""

from abc import ABC

from symscope.checks import check_network
from symscope.networks import Network


class CheckedNetwork(Network, ABC):
    """Base class of adapters: a site passes `check_network` at its first use, or the use is refused.

    A subclass calls `super().__init__()` and must call `check_site` wherever a caller names a site.
    """

    def __init__(self) -> None:
        super().__init__()
        self._checked: set[str] = set()

    def check_site(self, site: str) -> None:
        """Raises `UnknownNameError` when there is no such site, and `BrokenLawError` when it breaks a law."""
        super().check_site(site)
        if site in self._checked:
            return
        self._checked.add(site)  # the check itself uses the site
        try:
            check_network(self, sites=[site])
        except BaseException:
            self._checked.discard(site)
            raise
