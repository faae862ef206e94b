"""Encoders, decoders, and the VAE made of them."""

from vaelab.models.condition import Condition
from vaelab.models.conv import ConvDecoder, ConvEncoder
from vaelab.models.mlp import MLPDecoder, MLPEncoder
from vaelab.models.vae import VAE

__all__ = ["Condition", "ConvDecoder", "ConvEncoder", "MLPDecoder", "MLPEncoder", "VAE"]
