"""How the two routers of a pair talk."""
