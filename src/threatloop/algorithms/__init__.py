"""What several attacks or defences share: fitting, ensembles, distillation, watermarks, inversion."""
