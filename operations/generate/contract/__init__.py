"""What the OpenAPI document says beyond the routes, the models and the problems: plain data, for `openapi`."""
