//! Keys for tests, made with OpenSSL. Of private keys only the beginning is here, which is enough to know them.

/// RSA, 512 bits.
pub(crate) const RSA_512: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAPH7+HJQSxhOXdCNT+LXzpnzNH4uUCFrSJt8y70bOyCFxAlYsVnyxNMbqAWzBS6xG153eAHN5/zzQPh4REbJot0CAwEAAQ==";

/// RSA, 1024 bits.
pub(crate) const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDXj5Symmctppy+ZqOiZvHS82AnEQljUF1lD/1cFh3o+7HFp0/J8M4U5lCGNzw+qJWWRzoamQzpcSrKcTKSgaMEU6kXoSfde5T7u0yVP7bmfCp9Itm+tRTMtPumXhINNwgBhaCsS/JG/ElyhDsKmsNT6Vyx/RCVW0/+2NrXw+uz5QIDAQAB";

/// RSA, 2048 bits.
pub(crate) const RSA_2048: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtnwFl7ld9FH3QxdbGyF1i1KV6AcIui6xTP5Le7G7lVaKh04JWQoLeVFXRHWakuw4MoVGXGGCA6YreXxPra4tpvCQSbgtoU6v4YrQSAwTBoH+SmFHeA9mDH9dT6t4dVDnxmINHqeKbqBitmRs0lAeV3RdXR6wUak0L32aOpXk8KcEqEhZHcADRex6jqYLtGYDAjVZnEJKJVJ7vEmFCeUv5g9iQvvQ2mpE+l9hkej2qgJ19YsrWitdZkewjURYj4RxV6Y3hppQCiZoWOKvP2zKuBo/cxvUWbqprco01MbnBTDosOWlPPkk5ClgQsf+euB+pEa9Ka2xSeO5F2npwXbV1wIDAQAB";

/// Another one.
pub(crate) const RSA_2048_OTHER: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArXkeDWteMS6sblu8vpNeqxxykj2Y7wZQTCJVLI+G4fgb6UadfBxo9C0UPNlRg8FK8sZSeUzjDAwf8T5rbjgsBHiUuiHm29rRNcUmTZ4EhpxNBhBLZEu7Dh1LE7vP5qTLvc0BuIPxr9Ls3PunFzmfTbo/qHIqQ7pH6zdjw4hsnEksqRIjaEo1zXgwKE7Jq2IPzQ4tBzTdsIvnZ+JFRNTDczSgKFIE2PUSBe6HHmb7gMwShEpSusai3hfQIFVreP5t1SxiSgktBhodbAPCQudmaYmCQn5n3w3r1ydwJBsq3qYIVw8bX+/fGYKaOogJufHAUnEjBwLzI8V0m6ICgwsswQIDAQAB";

/// [`RSA_2048`] in PKCS#1 form.
pub(crate) const RSA_2048_PKCS1: &str = "MIIBCgKCAQEAtnwFl7ld9FH3QxdbGyF1i1KV6AcIui6xTP5Le7G7lVaKh04JWQoLeVFXRHWakuw4MoVGXGGCA6YreXxPra4tpvCQSbgtoU6v4YrQSAwTBoH+SmFHeA9mDH9dT6t4dVDnxmINHqeKbqBitmRs0lAeV3RdXR6wUak0L32aOpXk8KcEqEhZHcADRex6jqYLtGYDAjVZnEJKJVJ7vEmFCeUv5g9iQvvQ2mpE+l9hkej2qgJ19YsrWitdZkewjURYj4RxV6Y3hppQCiZoWOKvP2zKuBo/cxvUWbqprco01MbnBTDosOWlPPkk5ClgQsf+euB+pEa9Ka2xSeO5F2npwXbV1wIDAQAB";

/// The Ed25519 key of RFC 8463 appendix A.
pub(crate) const ED25519: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// The same, wrapped.
pub(crate) const ED25519_SPKI: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// A P-256 key.
pub(crate) const EC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOiChMlhbrsXIUsOby2M0wC7ZNt30h8UuI4qagZAfGzR5JCvg2zU/rgJOoEywwu/Ij8xO8aUH/HOrEjz6RxIcjw==";

/// The beginning of an RSA private key in PKCS#8 form.
pub(crate) const RSA_PKCS8_PRIVATE: &str = "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8";

/// The beginning of one in PKCS#1 form.
pub(crate) const RSA_PKCS1_PRIVATE: &str = "MIIBPAIBAAJBAPH7+HJQSxhOXdCNT+LXzpnzNH4u";

/// The beginning of an Ed25519 private key.
pub(crate) const ED25519_PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIFtl3qj4rRsy1g4QY12h";
