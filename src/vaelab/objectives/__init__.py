"""Objectives, one file per paper."""

from vaelab.objectives.annealed_capacity import AnnealedCapacity
from vaelab.objectives.autoencoder import Autoencoder
from vaelab.objectives.base import Objective
from vaelab.objectives.beta_tcvae import BetaTCVAE
from vaelab.objectives.beta_vae import BetaVAE
from vaelab.objectives.ciwae import CIWAE
from vaelab.objectives.contractive_autoencoder import ContractiveAutoencoder
from vaelab.objectives.denoising_autoencoder import DenoisingAutoencoder
from vaelab.objectives.dip_vae import DIPVAEI, DIPVAEII
from vaelab.objectives.dreg import DReG
from vaelab.objectives.em import EM
from vaelab.objectives.enumerated import Enumerated
from vaelab.objectives.factor_vae import FactorVAE
from vaelab.objectives.info_vae import InfoVAE
from vaelab.objectives.iwae import IWAE
from vaelab.objectives.kl_only import KLOnly
from vaelab.objectives.m2 import M2
from vaelab.objectives.miwae import MIWAE
from vaelab.objectives.reweighted_wake_sleep import ReweightedWakeSleep
from vaelab.objectives.semi_amortised import SemiAmortised
from vaelab.objectives.sparse_autoencoder import SparseAutoencoder
from vaelab.objectives.wae_mmd import WAEMMD
from vaelab.objectives.wake_sleep import WakeSleep

__all__ = [
    "AnnealedCapacity",
    "Autoencoder",
    "BetaTCVAE",
    "BetaVAE",
    "CIWAE",
    "ContractiveAutoencoder",
    "DIPVAEI",
    "DIPVAEII",
    "DReG",
    "DenoisingAutoencoder",
    "EM",
    "Enumerated",
    "FactorVAE",
    "IWAE",
    "InfoVAE",
    "KLOnly",
    "M2",
    "MIWAE",
    "Objective",
    "SemiAmortised",
    "ReweightedWakeSleep",
    "SparseAutoencoder",
    "WAEMMD",
    "WakeSleep",
]
