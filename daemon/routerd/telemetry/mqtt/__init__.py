"""Many routers, one table: what a router tells an MQTT broker, and how it gets there."""
