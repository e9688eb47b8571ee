"""``python -m rlcore`` compiles every kernel that is not on disk yet."""

from rlcore.compilation import compile_kernels

compile_kernels()
