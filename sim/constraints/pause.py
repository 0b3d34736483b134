"""Pause: admits nobody that it matches until it is lifted or expires. What runs goes on."""

from sim.constraints.base import UNLIMITED, GlobalConstraint


class Pause(GlobalConstraint):
    """A switch."""

    type = "pause"

    def apply(self, numbers: dict[str, int] | None) -> None:
        self.paused = numbers is not None and bool(numbers["paused"])

    @property
    def limit_recorded(self) -> int:
        """0 while it admits nobody."""
        return 0 if self.paused else -1

    def free(self) -> int:
        return -1 if self.paused else UNLIMITED
