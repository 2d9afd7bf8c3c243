"""What a model is asked, one role a file. Its answers are checked against the document and against retrieval."""
