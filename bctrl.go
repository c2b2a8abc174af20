package bctrl

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Version is the version of this SDK, as User-Agent and x-sdk-version say it.
const Version = "0.1.0"

// Client speaks to one BCTRL server as one caller. It is safe for concurrent
// use; make one and share it.
type Client struct {
	// AICredentials are the keys to language models.
	AICredentials *AICredentialsService
	// Vault holds logins and other secrets by key.
	Vault *VaultService
	// Secrets hold the values that the broker calls providers with, each in a
	// scope.
	Secrets *SecretsService
	// Workspaces contain runtimes and set their ceiling.
	Workspaces *WorkspacesService
	// Profiles keep a browser's cookies between runtimes.
	Profiles *BrowserProfilesService
	// Operations are long calls that run on the server.
	Operations *OperationsService
	// Subaccounts are organizations inside the caller's.
	Subaccounts *SubaccountsService
	// Credentials are ways to authenticate with providers.
	Credentials *CredentialsService
	// Capabilities are what may be called at providers, and the calls.
	Capabilities *CapabilitiesService
	// Webhooks are receivers that events are sent to.
	Webhooks *WebhooksService
	// Audit is the log of who did what.
	Audit *AuditService
	// Seal is the master key that seals the server's data.
	Seal *SealService
	// Nodes are the servers of a cluster.
	Nodes *NodesService

	via via
}

// via leads to the transport. It is a func so that a printer that follows
// pointers (spew, testify's diffs) ends here and never walks through a client
// into the buffers of its connections, where headers lie.
type via func() *transport

// New returns a client. What no option sets comes from the environment:
// BCTRL_API_KEY and BCTRL_BASE_URL. It sends nothing.
//
// The error joins everything that is wrong, each an [*Error] with the Field at
// fault: no API key, a base URL that is not https (loopback addresses and
// [WithInsecureHTTP] aside), a negative number of retries, and so on.
func New(opts ...Option) (*Client, error) {
	cfg := defaults()
	for _, opt := range opts {
		opt(&cfg)
	}
	t, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	return newClient(t), nil
}

func newClient(t *transport) *Client {
	c := &Client{via: func() *transport { return t }}
	c.AICredentials = &AICredentialsService{via: c.via}
	c.Vault = &VaultService{via: c.via}
	c.Secrets = &SecretsService{via: c.via}
	c.Workspaces = &WorkspacesService{via: c.via}
	c.Profiles = &BrowserProfilesService{via: c.via}
	c.Operations = &OperationsService{via: c.via}
	c.Webhooks = &WebhooksService{via: c.via}
	c.Subaccounts = &SubaccountsService{via: c.via}
	c.Credentials = &CredentialsService{via: c.via}
	c.Capabilities = &CapabilitiesService{via: c.via}
	c.Audit = &AuditService{via: c.via}
	c.Seal = &SealService{via: c.via}
	c.Nodes = &NodesService{via: c.via}
	return c
}

// Storage returns the files of a namespace. It sends nothing: a name that the
// grammar refuses is refused by the first call.
func (c *Client) Storage(namespace string) *Storage {
	return &Storage{named: namespace, via: c.via}
}

// CloseIdleConnections closes connections that wait for the next call. It is
// of use where a program must end without a goroutine left, as in tests.
func (c *Client) CloseIdleConnections() { c.via().closeIdle() }

// String names the server that the client speaks to, and nothing else.
func (c *Client) String() string {
	if c == nil || c.via == nil {
		return "bctrl.Client{}"
	}
	return "bctrl.Client{" + c.via().base.String() + "}"
}

// Do sends a request to a route that the services do not have. Each segment
// becomes one segment of the path whatever it holds: []string{"v1", "vault",
// "prod/crm"} is /v1/vault/prod%2Fcrm. In is encoded as JSON unless nil, and
// the answer decoded into out unless nil. Retries, idempotency keys and
// errors are those of every other call.
//
// Access: as the route says.
func (c *Client) Do(ctx context.Context, method string, segments []string, in, out any, opts ...CallOption) error {
	r := request{
		method: method,
		in:     in,
		out:    out,
		opts:   opts,
	}
	if !validMethod(method) || len(segments) == 0 {
		return refusal(http.StatusBadRequest, "request.invalid", "",
			"want an upper-case method and at least one path segment")
	}
	r.path, r.params = templateOf(segments)
	return c.via().call(ctx, &r)
}

func validMethod(m string) bool {
	return m != "" && strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// templateOf names a route that was given as segments: area and version are
// shown, everything after them is a variable.
func templateOf(segments []string) (template string, params []string) {
	var b strings.Builder
	for i, s := range segments {
		if i < 2 && s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
			b.WriteString("/" + s)
			continue
		}
		b.WriteString("/{segment}")
		params = append(params, s)
	}
	return b.String(), params
}

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
	if err := c.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathSelf,
		out:    &w,
		opts:   opts,
	}); err != nil {
		return nil, err
	}
	self := &Caller{
		Kind:         CallerKind(w.Kind),
		Organization: w.Organization,
		KeyID:        w.KeyID,
		TokenID:      w.TokenID,
	}
	if w.ExpiresAt != nil {
		self.ExpiresAt = *w.ExpiresAt
	}
	if w.Runtime != nil {
		self.Runtime = newRuntime(c.via, *w.Runtime, w.Runtime.EffectiveMounts)
	}
	return self, nil
}
