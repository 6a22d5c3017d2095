"""The time of records: clocks of lanes, ticks, which of them are complete, what each tells."""
