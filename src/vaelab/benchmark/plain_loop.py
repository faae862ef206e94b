"""The yardstick: a VAE trained as one writes it by hand, over a tensor in memory.

python -m vaelab.benchmark.plain_loop conv|mlp STEPS cpu|cuda [tuned]   prints one line of JSON.
"""

import json
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vaelab.runs.process import tune_malloc

WARM_UP = 20


def networks(kind: str) -> tuple[nn.Module, nn.Module]:
    """The encoder and decoder that vaelab trains in the same comparison."""
    from vaelab.models import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

    if kind == "mlp":
        return MLPEncoder((1, 28, 28), 40, hidden=[400]), MLPDecoder(20, (1, 28, 28), hidden=[400])
    channels = [32, 32, 64, 64]
    encoder = ConvEncoder((1, 64, 64), 20, channels=channels, kernel_sizes=[4, 4, 2, 2])
    return encoder, ConvDecoder(10, (1, 64, 64), channels=channels)


def images(kind: str) -> Tensor:
    """60,000 images of the right size; what they show has no influence on the speed."""
    shape = (60_000, 1, 28, 28) if kind == "mlp" else (60_000, 1, 64, 64)
    return (torch.rand(shape) < 0.1).to(torch.uint8 if kind == "conv" else torch.float32)


def main(kind: str, num_steps: int, device: str = "cpu", tuned: str = "") -> None:
    """Train for `num_steps` after a warm-up, and print images per second.

    With `tuned` it uses the allocator's settings and the fused Adam that vaelab uses: what is left
    between the two is what Lightning, logging, checkpoints and the progress bar cost.
    """
    if tuned:
        tune_malloc()
    data, batch_size = images(kind).to(device), 128 if kind == "mlp" else 64
    encoder, decoder = (network.to(device) for network in networks(kind))
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=bool(tuned)
    )
    started = 0.0
    for step in range(WARM_UP + num_steps):
        if step == WARM_UP:
            _finish(device)
            started = time.perf_counter()
        x = data[torch.randint(len(data), (batch_size,), device=device)].float()
        mu, log_variance = encoder(x).chunk(2, dim=-1)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        reconstruction = binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
        loss = (reconstruction + 4 * kl) / batch_size
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _finish(device)
    rate = num_steps * batch_size / (time.perf_counter() - started)
    print(json.dumps({"images_per_second": rate}))


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
