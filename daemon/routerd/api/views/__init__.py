"""Views of the core's state, as the API answers them: pure."""
