"""What Prometheus reads: what is counted where it changes, and the page that a scrape is answered with."""
