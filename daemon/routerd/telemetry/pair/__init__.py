"""How the two routers of a pair talk: messages as bytes, and the channels that carry them."""
