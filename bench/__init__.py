"""Speed and memory, as ratios side by side in one run: the machines are noisy, so nothing here is a test."""
