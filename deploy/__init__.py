"""What the deployment has in common with the code is made from the code: `make manifests`."""
