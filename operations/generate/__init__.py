"""What is generated and committed, a module for each kind."""
