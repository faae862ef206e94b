"""The latent explorer: the decoder of a run, executed by the browser that shows its report."""
