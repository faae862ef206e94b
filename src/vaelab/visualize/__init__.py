"""Which figures a model, its scores and its curves have, drawn by `vaelab.figures`."""
