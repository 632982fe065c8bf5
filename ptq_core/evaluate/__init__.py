"""What a model is worth: accuracy on labelled pictures."""
