"""A bare Lightning + Hydra script on MNIST, up to its first optimizer step.

python -m benchmark.lightning_start +root=DATA +folder=OUTPUT
"""

import hydra
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from .plain_loop import build_networks


class Module(pl.LightningModule):
    """A VAE as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = build_networks("mlp")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def training_step(self, batch, batch_idx):
        x, _ = batch
        mu, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
        loss = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl
        self.log("train/loss", loss)
        return loss


@hydra.main(version_base="1.3", config_path=None)
def main(cfg: DictConfig) -> None:
    """Train for one step."""
    data = MNIST(cfg.root, train=True, download=False, transform=transforms.ToTensor())
    loader = DataLoader(data, batch_size=128, shuffle=True)
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", default_root_dir=cfg.folder)
    trainer.fit(Module(), loader)


if __name__ == "__main__":
    main()
