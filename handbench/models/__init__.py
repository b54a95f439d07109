"""The reference baseline: network, targets, augmentation, training, decoding."""
