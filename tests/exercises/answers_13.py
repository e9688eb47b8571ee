"""Chapter 13: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def cache_bytes(layers, width, heads, kv_heads, batch, tokens, bytes_a_number):
    head_width = width // heads
    return 2 * layers * kv_heads * head_width * tokens * batch * bytes_a_number


def nucleus(logits, temperature, top_p):
    law = np.exp(logits / temperature)
    law = law / law.sum()
    order = np.argsort(law)[::-1]
    kept, total = np.zeros(len(law)), 0.0
    for token in order:
        kept[token] = law[token]
        total += law[token]
        if total >= top_p:
            break
    return kept / total


def turning_point(
    parameters, bytes_a_weight, cache_bytes, attention_flops, flops_per_second, bytes_per_second
):
    reading = (bytes_a_weight * parameters + cache_bytes) / bytes_per_second
    n = 1
    while n * (2 * parameters + attention_flops) / flops_per_second < reading:
        n += 1
    return n


SOLUTIONS = (
    cache_bytes,
    nucleus,
    turning_point,
)


# Wrong answers besides the usual mistakes.


def one_token_alone(layers, width, heads, kv_heads, batch, tokens, bytes_a_number):
    return cache_bytes(layers, width, heads, kv_heads, batch, 1, bytes_a_number)


def bits(*arguments):
    return 8 * cache_bytes(*arguments)


def one_layer(layers, *others):
    return cache_bytes(1, *others)


def sorted_law(logits, temperature, top_p):
    return np.sort(nucleus(logits, temperature, top_p))[::-1]


def logits_left(logits, temperature, top_p):
    return np.where(nucleus(logits, temperature, top_p) > 0, logits, -np.inf)


def one_too_many(*arguments):
    return turning_point(*arguments) + 1


def weights_of_one_byte(parameters, bytes_a_weight, *others):
    return turning_point(parameters, 1, *others)


WRONG = {
    "cache_bytes": [one_token_alone, bits, one_layer],
    "nucleus": [sorted_law, logits_left],
    "turning_point": [one_too_many, weights_of_one_byte],
}
