"""What FED adds to the bare ViT-B/16 by counting: multiplications and bytes of a training step.

Shape shorthand: ``B`` photos, ``V = 2`` views, ``P = 4`` parts, ``C = 768`` channels of a token,
``D = P C``, ``K = 8`` neighbours, ``M`` identities, ``L = 129`` tokens, 12 layers.
"""

from __future__ import annotations

import time

import torch
from steps import IDENTITIES, THREADS, VIEWS, device, wait

C, P, K, L, LAYERS = 768, 4, 8, 129, 12
D = P * C
FORWARD_AND_BACKWARD = 3  # a product, and one for each factor's gradient
BYTES_PER_SECOND = 20e9
FLOAT32 = 4

VIT_PARAMETERS = LAYERS * (12 * C * C + 13 * C) + (L + 1) * C + 768 * C + C + 2 * C
OEM_PARAMETERS = P * (C * C // 4 + C // 4 + C // 2 + C // 4 + 1)
ATTENTION_PARAMETERS = 4 * D * D + D
FFN_PARAMETERS = 2 * (12 * C * C + 9 * C + 2 * C)


def classifier_parameters(identities: int = IDENTITIES) -> int:
    """Return the weights of the three classifiers."""
    return identities * (2 * D + C)


def fed_parameters(identities: int = IDENTITIES) -> int:
    """Return all trained values that the bare ViT lacks; a BatchNorm's D gains are among them."""
    own = OEM_PARAMETERS + ATTENTION_PARAMETERS + FFN_PARAMETERS + D
    return own + classifier_parameters(identities)


def vit_products(images: int) -> int:
    """Return the multiplications of a training step of the bare ViT."""
    layers = LAYERS * (12 * C * C * L + 2 * L * L * C)
    return FORWARD_AND_BACKWARD * images * (layers + (L - 1) * C * C)


def fed_products(batch: int, identities: int = IDENTITIES, distinct: int | None = None) -> int:
    """Return the multiplications that FED adds to a step.

    Args:
        batch: B.
        identities: M.
        distinct: slots that are projected to keys and values; None for V B K, no two alike.
    """
    samples = VIEWS * batch
    slots = samples * K if distinct is None else distinct
    keys_and_values = 2 * slots * 2 * D * D  # slots take no gradient
    query_and_projection = FORWARD_AND_BACKWARD * samples * 2 * D * D
    parts = FORWARD_AND_BACKWARD * samples * P * (2 * 12 * C * C + C * C // 4)
    scores = FORWARD_AND_BACKWARD * samples * classifier_parameters(identities)
    similarity = 2 * 2 * samples * identities * D
    return keys_and_values + query_and_projection + parts + scores + similarity


def fed_bytes(identities: int = IDENTITIES) -> int:
    """Return the bytes of FED's own weights that a step moves at least.

    Forward reads them; backward reads those whose input has a gradient and writes gradients; SGD
    reads weight, gradient and momentum and writes weight and momentum.
    """
    every = 1 + 1 + 1 + 5
    return FLOAT32 * (every * fed_parameters(identities) - 2 * D * D)


def products_per_second(dtype: torch.dtype = torch.float32, rounds: int = 10) -> float:
    """Measure how many multiplications of a matrix product this machine does, at best."""
    features = torch.randn(4096, C, device=device()).to(dtype)
    weights = torch.randn(C, 4 * C, device=device()).to(dtype)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        features @ weights
        wait()
        seconds.append(time.perf_counter() - start)
    return features.numel() * 4 * C / min(seconds)


def floor(batch: int, rate: float, identities: int = IDENTITIES) -> str:
    """Say what a training step in fp32 takes at least, as a ratio to the bare ViT.

    Args:
        batch: B.
        rate: of :func:`products_per_second`.
        identities: M.
    """
    bare = vit_products(VIEWS * batch) / rate
    weights = 5 + 1 + 2  # SGD, forward, backward: as fed_bytes
    bare += FLOAT32 * weights * VIT_PARAMETERS / BYTES_PER_SECOND
    arithmetic = fed_products(batch, identities) / rate / bare
    traffic = fed_bytes(identities) / BYTES_PER_SECOND / bare
    return (
        f"{1 + arithmetic + traffic:.3f} at B = {batch}: FED adds "
        f"{fed_products(batch, identities) / 1e9:.1f} G multiplications to "
        f"{vit_products(VIEWS * batch) / 1e9:.0f} G ({100 * arithmetic:.1f} %) and moves "
        f"{fed_bytes(identities) / 1e9:.2f} GB for its {fed_parameters(identities) / 1e6:.1f} M "
        f"values ({100 * traffic:.1f} % at 20 GB/s), beside {bare:.2f} s for the bare ViT at "
        f"{rate / 1e9:.0f} G multiplications/s, this machine's best in matrix products of that "
        "size. The stock ViT's attention is not fused, which changes both time and memory"
    )


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    measured = products_per_second()
    for size in (2, 4, 8, 16, 64):
        print(floor(size, measured))
