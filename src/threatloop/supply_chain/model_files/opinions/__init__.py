"""What other scanners say of the same pickles, and how it is put beside our own findings."""
