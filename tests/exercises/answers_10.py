"""Chapter 10: solutions as a reader would write them, without the package, and wrong ones."""

import itertools

import numpy as np


def location(index, strides, offset):
    return offset + sum(i * s for i, s in zip(index, strides, strict=True))


def expand_backward(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for k, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=k, keepdims=True)
    return grad


def has_overlap(sizes, strides):
    seen = [location(index, strides, 0) for index in itertools.product(*map(range, sizes))]
    return len(set(seen)) < len(seen)


SOLUTIONS = (
    location,
    expand_backward,
    has_overlap,
)


# Wrong answers besides the usual mistakes.


def product_of_strides(index, strides, offset):
    return offset + int(np.prod([i * s for i, s in zip(index, strides, strict=True)]))


def bytes_of_a_float(index, strides, offset):
    return 4 * location(index, strides, offset)


def summed_without_keeping_the_dimension(grad, shape):
    return np.squeeze(expand_backward(grad, shape))


def gradient_as_it_came(grad, shape):
    return grad


def never(sizes, strides):
    return False


def a_stride_of_0_only(sizes, strides):
    return 0 not in sizes and any(n > 1 and s == 0 for n, s in zip(sizes, strides, strict=True))


def equal_strides(sizes, strides):
    return a_stride_of_0_only(sizes, strides) or len(set(strides)) < len(strides)


WRONG = {
    "location": [product_of_strides, bytes_of_a_float],
    "expand_backward": [summed_without_keeping_the_dimension, gradient_as_it_came],
    "has_overlap": [never, a_stride_of_0_only, equal_strides],
}
