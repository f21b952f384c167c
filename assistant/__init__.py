"""The application: the only package that knows the others. Nobody imports it."""
