"""``spanmill demo``: the whole chain in one command, without a broker or a database."""
