// Package compat proves that programs written for a provider work through the
// server unchanged. Its tests run the providers' real SDKs against local
// upstreams that speak the real wire formats and check authentication
// themselves, in three ways with the same expectations:
//
//   - directly, with the provider's key: what the program does without us;
//   - with its base URL pointed at /v1/proxy/{target} and a runtime token where
//     the SDK puts its key;
//   - with what Capabilities.HTTPClient returns as the SDK's HTTP client.
//
// It is a module of its own so that nobody who uses bctrl gets these SDKs.
package compat
