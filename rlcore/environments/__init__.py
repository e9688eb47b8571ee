"""The tabular environments of the course, registered with Gymnasium on import.

``gymnasium.make("rlcore/RandomWalk-v0")``, ``gymnasium.make("rlcore/GridWorld-v0")``,
``gymnasium.make("rlcore/WindyGridWorld-v0")`` and ``gymnasium.make("rlcore/BairdStar-v0")`` take
the keywords of the classes. None of them has a step limit of its own: give ``gymnasium.make`` a
``max_episode_steps`` where an episode must be cut, above all for a grid world that goes on after
its target. ``MountainCar`` is Gymnasium's own, made ready for compiled learners.
"""

import gymnasium

from rlcore.environments.baird_star import BairdStar
from rlcore.environments.grid_world import GridWorld
from rlcore.environments.mountain_car import MountainCar
from rlcore.environments.random_walk import RandomWalk
from rlcore.environments.table import TableEnv, as_environment
from rlcore.environments.windy_grid_world import WindyGridWorld

__all__ = [
    "BairdStar",
    "GridWorld",
    "MountainCar",
    "RandomWalk",
    "TableEnv",
    "WindyGridWorld",
    "as_environment",
]

_ENTRY_POINTS = {
    "rlcore/RandomWalk-v0": "rlcore.environments.random_walk:RandomWalk",
    "rlcore/GridWorld-v0": "rlcore.environments.grid_world:GridWorld",
    "rlcore/BairdStar-v0": "rlcore.environments.baird_star:BairdStar",
    "rlcore/WindyGridWorld-v0": "rlcore.environments.windy_grid_world:WindyGridWorld",
}

for _name, _entry_point in _ENTRY_POINTS.items():
    # Registering a name twice warns, which a reloaded module in a notebook would show.
    if _name not in gymnasium.registry:
        gymnasium.register(_name, entry_point=_entry_point)
