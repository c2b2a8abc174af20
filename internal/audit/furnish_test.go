package audit

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// furnished has two rows of every table, in two organizations.
func furnished(t *testing.T) *place {
	t.Helper()
	p := newPlace(t).filled()
	for _, org := range []string{"org", "other"} {
		f := furnisher{
			p:   p,
			ctx: t.Context(),
			org: org,
			at:  time.UnixMilli(1_700_000_000_000),
		}
		f.organization()
		f.runtimes()
		f.files()
		f.secrets()
	}
	require.True(t, p.verify().All().OK, "%+v", p.verify().All().Problems)
	return p
}

// furnisher writes rows of one organization, whose ids begin with its own.
type furnisher struct {
	p   *place
	ctx context.Context
	org string
	at  time.Time
}

func (f furnisher) id(name string) string { return f.org + "-" + name }
func (f furnisher) group() bctrl.Scope    { return bctrl.InGroup(f.id("ws"), "g") }

// record writes rows with an event.
func (f furnisher) record(fn func(*store.Tx) error) {
	f.p.write(func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return Append(tx, Event{
			Org:       f.org,
			Workspace: f.id("ws"),
			Caller:    "server",
			Action:    "test.furnish",
			Outcome:   OK,
		})
	})
}

func (f furnisher) organization() {
	f.record(func(tx *store.Tx) error {
		return tx.InsertOrganization(f.ctx, store.Organization{
			ID:        f.id("sub"),
			Name:      "sub",
			Parent:    f.org,
			CreatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertAPIKey(f.ctx, store.APIKey{
			ID:        f.id("key"),
			Org:       f.org,
			Label:     "l",
			Hash:      []byte(f.id("hash")),
			CreatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertDEK(f.ctx, store.DEK{
			Scope:     f.org,
			ID:        f.id("dek"),
			KEKID:     "k",
			Wrapped:   []byte("w"),
			CreatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error { return tx.InsertSealedValue(f.ctx, f.id("value"), []byte("s")) })
	f.record(func(tx *store.Tx) error {
		return tx.InsertAICredential(f.ctx, f.org, store.AICredential{
			UID:       f.id("ai"),
			ID:        "ai",
			Version:   1,
			Meta:      []byte("{}"),
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		})
	})
}

func (f furnisher) runtimes() {
	f.record(func(tx *store.Tx) error {
		return tx.InsertWorkspace(f.ctx, f.org, store.Workspace{
			ID:        f.id("ws"),
			Name:      "ws",
			Version:   1,
			Namespace: "ws",
			CreatedAt: f.at,
			UpdatedAt: f.at,
			Mounts:    bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"ai"}}},
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.SetMountPins(f.ctx, f.org, f.id("ws"), []store.MountPin{{CredentialID: "ai", CredentialUID: f.id("ai")}})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertProfile(f.ctx, f.org, store.Profile{
			ID:        "p",
			UID:       f.id("p"),
			Label:     "l",
			CreatedAt: f.at,
			UpdatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertRuntime(f.ctx, f.org, store.Runtime{
			ID:          f.id("rt"),
			WorkspaceID: f.id("ws"),
			Alias:       "r",
			Driver:      "stagehand",
			Status:      bctrl.RuntimeActive,
			Live:        true,
			ProfileUID:  f.id("p"),
			Group:       "g",
			CreatedAt:   f.at,
			UpdatedAt:   f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertRuntimeToken(f.ctx, f.org, store.RuntimeToken{
			ID:        f.id("token"),
			RuntimeID: f.id("rt"),
			CreatedAt: f.at,
			ExpiresAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertOperation(f.ctx, f.org, bctrl.OperationInfo{
			ID:          f.id("op"),
			WorkspaceID: f.id("ws"),
			RuntimeID:   f.id("rt"),
			Status:      bctrl.OperationRunning,
			CreatedAt:   f.at,
			UpdatedAt:   f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertWebhook(f.ctx, f.org, store.Webhook{
			UID:       f.id("webhook"),
			Version:   1,
			Meta:      []byte("{}"),
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.PutDelivery(f.ctx, store.Delivery{
			ID:         f.id("delivery"),
			Org:        f.org,
			WebhookUID: f.id("webhook"),
			Due:        f.at,
			Body:       []byte("{}"),
		}, 10)
	})
	f.record(func(tx *store.Tx) error {
		e := bctrl.NewEvent(f.at, bctrl.LaunchedEvent{Alias: "r"})
		e.ID, e.RuntimeID = f.id("event"), f.id("rt")
		_, err := tx.InsertEvent(f.ctx, f.org, e)
		return err
	})
	f.record(func(tx *store.Tx) error {
		return tx.CacheTask(f.ctx, f.org, f.id("ws"), f.id("task"),
			[]bctrl.TranscriptStep{{URL: "https://crm.example.com/"}}, f.at)
	})
}

func (f furnisher) files() {
	for _, path := range []string{"a/b/f", "a/g"} {
		f.record(func(tx *store.Tx) error {
			o := store.Object{
				ID:        f.id(path),
				Namespace: "n",
				Path:      path,
				BlobID:    f.id("blob" + path),
				SHA256:    "s",
				SizeBytes: 3,
				CreatedAt: f.at,
			}
			_, err := tx.PutObject(f.ctx, f.org, o, nil) // there is none to replace
			return err
		})
	}
}

func (f furnisher) secrets() {
	f.record(func(tx *store.Tx) error {
		meta, err := json.Marshal(map[string]any{"name": "N", "aliases": []string{"A"},
			"attachments": []bctrl.Scope{f.group()}})
		if err != nil {
			return err
		}
		sec := store.Secret{
			ID:        f.id("secret"),
			Version:   1,
			Scope:     bctrl.Global(),
			Name:      "N",
			Provider:  "p",
			Meta:      meta,
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		}
		return tx.InsertSecret(f.ctx, f.org, sec,
			store.SecretIndex{Names: []string{"N", "A"}, Attachments: []bctrl.Scope{f.group()}})
	})
	f.record(func(tx *store.Tx) error {
		c := store.Credential{
			UID:       f.id("credential"),
			ID:        "c",
			Version:   1,
			Provider:  "p",
			Scope:     bctrl.InWorkspace(f.id("ws")),
			Meta:      []byte(`{"secrets":{"f":"` + f.id("secret") + `"}}`),
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		}
		return tx.InsertCredential(f.ctx, f.org, c, map[string]string{"f": f.id("secret")})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertCapability(f.ctx, f.org, store.Capability{
			UID:       f.id("capability"),
			ID:        "a/b",
			Version:   1,
			Meta:      []byte("{}"),
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		})
	})
	f.record(func(tx *store.Tx) error {
		return tx.InsertCapabilityPolicy(f.ctx, f.org, store.CapabilityPolicy{
			UID:        f.id("policy"),
			Capability: "a/b",
			Version:    1,
			Meta:       []byte(`{"callsPerMinute":3}`),
			Sealed:     []byte("s"),
			UpdatedAt:  f.at,
		})
	})
	f.record(func(tx *store.Tx) error { return tx.CountCalls(f.ctx, f.org, "a/b") })
	f.record(func(tx *store.Tx) error {
		return tx.InsertBinding(f.ctx, f.org, store.Binding{
			UID:     f.id("binding"),
			Version: 1,
			BindingKey: store.BindingKey{
				Scope:    f.group(),
				Target:   "a/b",
				Consumer: "x",
				Field:    "f",
			},
			Secret:    f.id("secret"),
			Sealed:    []byte("s"),
			CreatedAt: f.at,
			UpdatedAt: f.at,
		})
	})
}
