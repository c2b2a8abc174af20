package bctrl

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// CallerKind tells what a caller's credential is.
type CallerKind string

// The kinds of callers.
const (
	// CallerKey is an organization key, which administers everything.
	CallerKey CallerKind = "key"
	// CallerToken is a runtime token, which is bound to one runtime.
	CallerToken CallerKind = "token"
)

// Caller is who a client is to the server. See [Client.Self].
type Caller struct {
	Kind CallerKind
	// Organization is the id of the organization that it belongs to.
	Organization string
	// KeyID is that of an organization key, TokenID that of a runtime token.
	KeyID, TokenID string
	// ExpiresAt is when a runtime token ends; zero for an organization key.
	ExpiresAt time.Time
	// Runtime is the runtime of a token, limited to what the token may do. It
	// is nil for an organization key.
	Runtime *Runtime
}

const pathSelf = "/v1/self"

// Self returns who the client is to the server. With a runtime token it is the
// way to the token's runtime:
//
//	client, err := bctrl.New(bctrl.WithAPIKey(token))
//	…
//	self, err := client.Self(ctx)
//	…
//	_, err = self.Runtime.Stagehand.Act(ctx, "Export Q1 pipeline")
//
// Access: self.read
func (c *Client) Self(ctx context.Context, opts ...CallOption) (*Caller, error) {
	var w wire.Self[RuntimeInfo]
	if err := c.via().call(ctx, &request{method: http.MethodGet, path: pathSelf, out: &w, opts: opts}); err != nil {
		return nil, err
	}
	self := &Caller{Kind: CallerKind(w.Kind), Organization: w.Organization, KeyID: w.KeyID, TokenID: w.TokenID}
	if w.ExpiresAt != nil {
		self.ExpiresAt = *w.ExpiresAt
	}
	if w.Runtime != nil {
		self.Runtime = newRuntime(c.via, *w.Runtime, w.Runtime.EffectiveMounts)
	}
	return self, nil
}
