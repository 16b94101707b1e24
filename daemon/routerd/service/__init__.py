"""The composition: what starts the rooms, hands messages from one to the other and carries effects out."""
