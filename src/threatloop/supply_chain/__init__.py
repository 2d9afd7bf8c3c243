"""The supply-chain scanner: dependencies, model files and code, read and never run."""
