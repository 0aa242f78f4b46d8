"""What the OpenAPI document says beyond the routes and the models: plain data, put together by `operations.openapi`."""
