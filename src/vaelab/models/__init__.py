"""Encoders, decoders, and the VAE made of them."""

from vaelab.models.conv import ConvDecoder, ConvEncoder
from vaelab.models.mlp import MLPDecoder, MLPEncoder
from vaelab.models.vae import VAE

__all__ = ["ConvDecoder", "ConvEncoder", "MLPDecoder", "MLPEncoder", "VAE"]
