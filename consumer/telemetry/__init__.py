"""What the worker tells about itself: metrics, status, logs."""
