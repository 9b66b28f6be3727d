"""What the long experiments share."""
