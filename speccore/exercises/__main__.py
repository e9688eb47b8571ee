"""``python -m speccore.exercises FILE_OR_FOLDER …``: check what a class handed in, all chapters.

``rlcore.exercises.classroom`` says how.
"""

import sys

import rlcore.exercises
import speccore.exercises
from rlcore.exercises.classroom import main

if __name__ == "__main__":
    exercises = (*rlcore.exercises.EXERCISES, *speccore.exercises.EXERCISES)
    sys.exit(main(exercises, "speccore.exercises"))
