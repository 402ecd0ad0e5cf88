"""What families of models are built with: files and their checksums, weights, adapters, BERT, preprocessing."""
