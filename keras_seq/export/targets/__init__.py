"""What can be exported to."""
