"""A plain PyTorch script on MNIST, up to its first optimizer step.

python -m benchmark.plain_start DATA
"""

import sys

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.datasets import MNIST

from .plain_loop import build_networks

data = MNIST(sys.argv[1], train=True, download=False).data.float().div_(255).unsqueeze(1)
encoder, decoder = build_networks("mlp")
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
x = data[torch.randint(len(data), (128,))]
mu, log_variance = encoder(x).chunk(2, dim=-1)
z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
(binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") + kl).backward()
optimizer.step()
