"""BGP sessions: the speaker, its messages, and the UPDATE codec."""
