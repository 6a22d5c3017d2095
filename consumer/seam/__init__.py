"""What stands between processors and registries, by ``processing_guarantee``."""
