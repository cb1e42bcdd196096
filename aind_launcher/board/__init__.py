"""What a person looks at: values made from what the launcher knows, and how they are drawn."""
