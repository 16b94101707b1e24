"""All that is pure: messages, routes, the RIB, the desired FIB, and the router that ties them."""
