"""Hyperparameter search by Optuna: train.py -m hydra/sweeper=optuna."""
