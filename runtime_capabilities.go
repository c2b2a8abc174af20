package bctrl

import (
	"context"
	"net/http"
)

// RuntimeCapabilities calls providers as a runtime: in its workspace and group,
// with what its mounts permit. What they do not permit is refused by the
// server, which knows which calls are those of a model. See
// [Runtime.Capabilities].
type RuntimeCapabilities struct {
	via    via
	limits *limits
}

// Invoke is [CapabilitiesService.Invoke] as the runtime. A call of a language
// model needs one of the runtime's AI credentials, any other the capability in
// its mounts.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) Invoke(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeResponse, error) {
	return invoke(ctx, c.via, c.limits, inv, opts)
}

// Stream is [CapabilitiesService.Stream] as the runtime.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) Stream(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeStream, error) {
	return stream(ctx, c.via, c.limits, inv, opts)
}

// HTTPClient is [CapabilitiesService.HTTPClient] as the runtime.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) HTTPClient(target CallTarget) *http.Client {
	return httpClient(c.via, c.limits, target)
}
