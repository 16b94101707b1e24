"""The looking glass: what birdwatcher and bgplgd answer, for Alice-LG and others. Read-only."""
