"""Resource: at most `capacity` is held at once, in millionths of a unit. Lowering it revokes nobody."""

from sim.constraints.concurrency import Concurrency


class Resource(Concurrency):
    """An amount of something, of which who runs holds a part."""

    type = "resource"
    setting = "capacity"
