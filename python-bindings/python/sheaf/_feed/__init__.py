"""Feeds for training: positions that can be saved, epochs that are read here or from another process, tensors."""
