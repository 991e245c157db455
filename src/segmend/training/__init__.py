"""What the training loop stands on: checkpoints, several processes, progress, curves and precision, a file each."""
