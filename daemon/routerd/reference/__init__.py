"""What is made of the commands and the views for those who use them: completions, the manual page, JSON Schema."""
