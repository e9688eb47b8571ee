"""``python -m rlcore.exercises FILE_OR_FOLDER …``: check what a class handed in for Parts I and II.

``rlcore.exercises.classroom`` says how; ``python -m speccore.exercises`` takes all chapters.
"""

import sys

from rlcore.exercises import EXERCISES
from rlcore.exercises.classroom import main

if __name__ == "__main__":
    sys.exit(main(EXERCISES, "rlcore.exercises"))
