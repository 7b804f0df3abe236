//! S3 endpoints, presigned requests and console URLs.
