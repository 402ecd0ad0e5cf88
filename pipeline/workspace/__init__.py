"""What lies in a workspace: its paths, its cells, their manifests, and the facts of its data sets."""
