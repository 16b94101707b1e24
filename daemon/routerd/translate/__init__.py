"""From text to text: another program's configuration into routerd's, and routerd's into what the nodes need."""
