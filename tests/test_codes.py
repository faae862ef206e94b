"""The codes of a run as data of another, and M1+M2 on them."""

import numpy as np
import pytest
import torch

from vaelab import load_run
from vaelab.codes import Codes
from vaelab.data import Condition, Labels
from vaelab.data.datamodule import ImageDataModule
from vaelab.errors import UserError
