"""BMP collectors: what they are told of the RIB, and the sessions with them."""
