"""One energy a file, and what leads up to it: marks and values in, labels or logits out."""
