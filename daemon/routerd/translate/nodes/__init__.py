"""What the nodes' BGP speakers have to be told to fit a configuration of routerd: one module for each program."""
