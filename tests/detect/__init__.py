"""Planted defects; what escapes its program ends as what escapes any of ours does."""

import matrix as matrix
