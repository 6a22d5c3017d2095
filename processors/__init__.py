"""The pure core: batches in, deltas out. No I/O, no clock, no environment."""
