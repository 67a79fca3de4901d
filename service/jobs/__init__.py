"""Work that outlasts a request: jobs, the workers that run them, and what is told of them meanwhile."""
