"""The codes of a run as data of another, and M1+M2 on them."""
