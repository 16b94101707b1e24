"""The router's own networks: those that it originates by configuration."""

from __future__ import annotations

from routerd.config.model import Config
from routerd.core.rib.loc_rib import Change, LocRib
from routerd.core.route import LOCAL, Attributes, Path, parse_address, parse_prefix


class Networks:
    """`prefixes` are in the Loc-RIB with `path`."""

    def __init__(self, config: Config, loc_rib: LocRib, now: float) -> None:
        self._loc_rib = loc_rib
        self.path = Path(LOCAL, Attributes(), now, parse_address(config.router.router_id))
        self.prefixes = [parse_prefix(text) for text in config.router.networks]
        loc_rib.announce(self.path, self.prefixes)

    def reconfigure(self, config: Config, now: float) -> list[Change]:
        """Originate what another configuration says."""
        router_id = parse_address(config.router.router_id)
        if router_id != self.path.router_id:
            self.path = Path(LOCAL, Attributes(), now, router_id)
        before, self.prefixes = self.prefixes, [parse_prefix(text) for text in config.router.networks]
        kept = set(self.prefixes)
        changes = self._loc_rib.withdraw(LOCAL, [each for each in before if each not in kept])
        return [*changes, *self._loc_rib.announce(self.path, self.prefixes)]
