"""BMP (RFC 7854): what the router hears, decides and tells, for collectors."""
