"""MRT (RFC 6396): the table and what changes it, in files that others read."""
