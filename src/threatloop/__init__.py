"""threatloop: attacks on data and models, chained in the closed loop and measured together."""
