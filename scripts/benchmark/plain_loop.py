"""The baseline: a VAE trained by a hand-written loop over a tensor in memory.

python -m benchmark.plain_loop conv|mlp STEPS cpu|cuda [tuned]   prints one line of JSON.
"""

import json
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vaelab.runs.process import tune_malloc

WARM_UP = 20


def build_networks(kind: str) -> tuple[nn.Module, nn.Module]:
    """The encoder and decoder that vaelab trains in the same comparison."""
    from vaelab.models import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

    if kind == "mlp":
        return MLPEncoder((1, 28, 28), 40, hidden=[400]), MLPDecoder(20, (1, 28, 28), hidden=[400])
    channels = [32, 32, 64, 64]
    encoder = ConvEncoder((1, 64, 64), 20, channels=channels, kernel_sizes=[4, 4, 2, 2])
    return encoder, ConvDecoder(10, (1, 64, 64), channels=channels)


def make_images(kind: str) -> Tensor:
    """60,000 images of the right size; their content does not influence the speed."""
    shape = (60_000, 1, 28, 28) if kind == "mlp" else (60_000, 1, 64, 64)
    return (torch.rand(shape) < 0.1).to(torch.uint8 if kind == "conv" else torch.float32)


def main(kind: str, num_steps: int, device: str = "cpu", tuned: str = "") -> None:
    """Train for `num_steps` after a warm-up, and print images per second.

    With `tuned` it uses the same allocator settings and fused Adam as vaelab: the remaining
    difference is the cost of Lightning, logging, checkpoints and the progress bar.
    """
    if tuned:
        tune_malloc()
    data, batch_size = make_images(kind).to(device), 128 if kind == "mlp" else 64
    encoder, decoder = (network.to(device) for network in build_networks(kind))
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=bool(tuned)
    )
    start = 0.0
    for step in range(WARM_UP + num_steps):
        if step == WARM_UP:
            _synchronize(device)
            start = time.perf_counter()
        x = data[torch.randint(len(data), (batch_size,), device=device)].float()
        mu, log_variance = encoder(x).chunk(2, dim=-1)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        reconstruction = binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
        loss = (reconstruction + 4 * kl) / batch_size
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _synchronize(device)
    rate = num_steps * batch_size / (time.perf_counter() - start)
    print(json.dumps({"images_per_second": rate}))


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
