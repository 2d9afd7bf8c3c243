"""Every confidence interval in one place to import from."""

from threatloop.numerics.binomial import clopper_pearson, clustered_binomial, wilson
from threatloop.numerics.delong import auc_interval
from threatloop.numerics.figures import Interval
from threatloop.numerics.means import bootstrap_t, mean_t, mostly_constant, paired_t, seed_mean

__all__ = [
    "Interval",
    "auc_interval",
    "bootstrap_t",
    "clopper_pearson",
    "clustered_binomial",
    "mean_t",
    "mostly_constant",
    "paired_t",
    "seed_mean",
    "wilson",
]
