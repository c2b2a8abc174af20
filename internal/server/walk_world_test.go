package server

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// world is an organization with everything in it, named acme, and another one
// with nothing.
type world struct {
	*harness
	names   *strings.Replacer
	ids     []string          // that only the organization itself may learn
	objects map[string]string // the files' ids, by their place in targets
	ws, ws2 store.Workspace
	live    map[string]string // the runtimes' ids
	minted  map[string]bctrl.Secret
	// sub is a subaccount; ofTheDead, revokedToken and revokedKey prove nothing
	// any more.
	sub                     string
	ofTheDead, revokedToken bctrl.Secret
	revokedKey              string
	made                    int
}

// somebody is who sends a request.
type somebody struct {
	why, key string
	// token makes the key of a runtime token, from one of the runtime that
	// held names.
	token func(bctrl.Secret) bctrl.Secret
	held  string
	// as is the runtime that it says to be, below mounts; sub the subaccount
	// that it acts for.
	as, mounts, sub string
	// org is "", "a" or "b"; runtime is "", "rt", "other" or "dead". powers is
	// unset where every mount was taken away.
	org, runtime string
	powers       bool
}

// makeAnew makes again what requests end.
func (w *world) makeAnew(what string) {
	w.Helper()
	switch what {
	case "":
	case "files":
		w.files()
	case "runtimes":
		w.runtimes()
	case "views":
		w.views()
	case "unlock":
		w.unlock()
	default:
		require.FailNow(w, "nothing is made anew by this name", what)
	}
}

// unlock undoes a lock.
func (w *world) unlock() {
	require.NoError(w, w.server.Custody.Unlock(w.Context(), bctrl.Secret{}, nil))
}

// files stores them anew.
func (w *world) files() {
	for _, ns := range []string{"acme-sales", "acme-email", "acme-root"} {
		got := w.send("PUT", "/v1/storage/namespaces/"+ns+"/files/a%2Facme.txt", strings.NewReader("acme"), "Authorization",
			"Bearer "+w.key)
		require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
		_, rest, _ := strings.Cut(string(got.Body), `"id":"`)
		w.objects["{object:"+ns+"}"] = rest[:36]
	}
}

// views makes a live view of each runtime.
func (w *world) views() {
	for name, ws := range map[string]store.Workspace{"rt": w.ws, "other": w.ws2} {
		path := []string{"workspaces", ws.ID, "runtimes", "acme-" + name, "embed", "live"}
		if before := w.objects["{view:"+name+"}"]; before != "" { // nobody has ended it, perhaps
			w.do("DELETE", append(path, before), nil, nil)
		}
		var view wire.LiveView
		// Its token may end it, and so may the organization.
		got := w.with(w.token(name), "POST", path, object{})
		require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
		require.NoError(w, json.Unmarshal(got.Body, &view))
		w.objects["{view:"+name+"}"] = view.ID
	}
}

// runtimes launches those that do not run.
func (w *world) runtimes() {
	for name, ws := range map[string]store.Workspace{"rt": w.ws, "other": w.ws2} {
		if rt, err := w.db.Read().Runtime(w.Context(), w.org(), w.live[name]); err != nil || !rt.Live {
			w.live[name] = w.launchRecorded(ws, "acme-"+name).ID
		}
	}
}

// token is a runtime token of a live runtime, minted when first wanted.
func (w *world) token(name string) bctrl.Secret {
	id := w.live[name]
	if _, ok := w.minted[id]; !ok {
		ws := w.ws
		if name == "other" {
			ws = w.ws2
		}
		w.minted[id] = w.mint(ws.ID, "acme-"+name, object{})
	}
	return w.minted[id]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{harness: newHarness(t,
		standingIn(t, acmeHost, func(http.ResponseWriter, *http.Request) {}),
		// More are nobody here than a server refuses one by one.
		func(c *Config) { c.Strangers = 1 << 20 },
	), objects: map[string]string{}, minted: map[string]bctrl.Secret{}}
	for _, id := range []string{"acme-mine", "acme-theirs"} {
		body := openAI(id)
		body["baseUrl"] = "http://127.0.0.1:9/v1" // nobody answers
		w.ok("POST", []string{"ai-credentials"}, body, nil)
	}
	for _, key := range []string{"prod/crm/acme", "email/acme", "root/acme"} {
		w.ok("PUT", []string{"vault", key}, object{"username": "acme", "password": "acme",
			"totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}, nil)
	}
	w.files()
	var scoped bctrl.SecretInfo
	w.ok("POST", []string{"secrets"}, object{"name": "ACME", "value": "acme", "aliases": []string{"acme"},
		"scope": object{"type": "global"}}, &scoped)
	for _, name := range []string{"acme/mine", "acme/theirs", "acme/root"} {
		w.ok("PUT", []string{"capabilities", name}, object{"methods": []string{"GET"}, "paths": []string{"/"}}, nil)
	}
	w.ok("POST", []string{"credentials"}, object{"id": "acme-key", "provider": "acme", "scope": object{"type": "global"},
		"secretRef": "vault:secret:" + scoped.ID,
		"auth": object{"type": "header",
			"headers": object{"X-Key": "{secret}"}}, "hosts": []string{"api.acme.example"}}, nil)
	w.ok("POST", []string{"browser-profiles"}, object{"id": "acme-bot"}, nil)
	mounts := func(credential, prefix, ns string) object {
		return object{"ai": object{"allow": []string{credential}},
			"capabilities": object{"allow": []string{strings.Replace(credential, "-", "/",
				1)}}, "vault": object{"allow": []string{prefix}, "allowRawReads": true}, "storage": object{"workspace": ns}}
	}
	ws, ws2 := w.harness.made("acme-ws", mounts("acme-mine", "prod/crm/", "acme-sales")), w.harness.made("acme-ws2",
		mounts("acme-theirs", "email/", "acme-email"))
	w.ws, w.ws2 = ws, ws2
	dead := w.launch(ws, "acme-dead", nil)
	w.live = map[string]string{"dead": dead.ID}
	w.runtimes()
	w.ofTheDead, w.revokedToken = w.token("dead"), w.mint(ws.ID, "acme-rt", object{})
	spareToken := w.mint(ws.ID, "acme-rt", object{})
	w.ok("POST", []string{"workspaces", ws.ID, "runtimes", "acme-dead", "stop"}, nil, nil)
	w.ok("DELETE", []string{"tokens", tokenID(t, w.revokedToken)}, nil, nil)
	operation := func(ws store.Workspace, alias string) string {
		var op bctrl.OperationInfo
		w.ok("POST", []string{"workspaces", ws.ID, "execute"}, object{"runtime": alias, "async": true,
			"steps": []object{{"call": "page.goto", "args": object{"url": "http://127.0.0.1:9"}}}}, &op)
		return op.ID
	}
	op, op2 := operation(ws, "acme-rt"), operation(ws2, "acme-other")
	var spare, revoked struct{ ID, Key string }
	w.ok("POST", []string{"keys"}, object{"label": "acme-spare"}, &spare)
	w.ok("POST", []string{"keys"}, object{"label": "acme-revoked"}, &revoked)
	w.ok("DELETE", []string{"keys", revoked.ID}, nil, nil)
	w.revokedKey = revoked.Key
	w.sub = w.subaccount("acme-sub")
	sub2 := w.subaccount("acme-sub2")
	var hook struct{ Webhook struct{ ID string } }
	w.ok("POST", []string{"webhooks"}, object{
		"url": "http://127.0.0.1:9/acme", "events": []string{"webhook.disabled"},
	}, &hook)
	var hooked struct{ ID string }
	w.ok("POST", []string{"webhooks", hook.Webhook.ID, "test"}, nil, &hooked)
	w.names = strings.NewReplacer(
		"{hook}", hook.Webhook.ID, "{hooked}", hooked.ID,
		"{sub}", w.sub, "{sub2}", sub2, "{ws}", ws.ID, "{ws2}", ws2.ID, "{op}", op, "{op2}", op2,
		"{rt}", w.live["rt"], "{rt2}", w.live["other"], "{spare}", spare.ID, "{secret}", scoped.ID,
		"{token}", tokenID(t, spareToken),
	)
	w.ids = []string{
		ws.ID, ws2.ID, w.live["rt"], w.live["other"], dead.ID, op, op2, spare.ID, spare.Key, revoked.ID, scoped.ID,
		tokenID(t, spareToken), sub2, "acme",
	}
	return w
}

// foreigner makes another organization with a workspace and a runtime, and
// returns its key and a token of that runtime.
func (w *world) foreigner() (key, token bctrl.Secret) {
	w.Helper()
	key, hash := newKey()
	other := store.Organization{ID: web.NewID(), Name: "b", CreatedAt: time.Now()}
	w.write(func(tx *store.Tx) error { return tx.InsertOrganization(w.Context(), other) })
	w.write(func(tx *store.Tx) error {
		return tx.InsertAPIKey(w.Context(), store.APIKey{
			ID:        web.NewID(),
			Org:       other.ID,
			Label:     "b",
			Hash:      hash,
			CreatedAt: time.Now(),
		})
	})
	w.as(key.Expose(), func() {
		ws := w.harness.made("b-ws", object{"vault": object{"allow": []string{"b/"}}})
		w.launch(ws, "b", nil)
		token = w.mint(ws.ID, "b", object{})
	})
	return key, token
}

// everybody are all who walk.
func (w *world) everybody() []somebody {
	w.Helper()
	foreign, foreignToken := w.foreigner()
	a, b := "Bearer "+w.key, "Bearer "+foreign.Expose()
	fixed := func(s bctrl.Secret) string { return "Bearer " + s.Expose() }
	itself := func(s bctrl.Secret) bctrl.Secret { return s }
	weaker := func(m bctrl.Mounts, expiry time.Time) func(bctrl.Secret) bctrl.Secret {
		return func(s bctrl.Secret) bctrl.Secret {
			out, err := bctrl.Attenuate(s, m, expiry)
			require.NoError(w, err)
			return out
		}
	}
	none := bctrl.Mounts{
		AI:           &bctrl.AIMount{Allow: []string{}},
		Vault:        &bctrl.VaultMount{Allow: []string{}},
		Storage:      &bctrl.StorageMount{Access: bctrl.StorageNone},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{}},
	}
	nothing := `{"ai": {"allow": []}, "vault": {"allow": []}, "storage": {"access": "none"}, ` +
		`"capabilities": {"allow": []}}`
	return []somebody{
		{why: "no key"},
		{why: "a wrong key", key: "Bearer bctrl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{why: "a revoked key", key: "Bearer " + w.revokedKey},
		{
			why:     "a stopped runtime",
			key:     a,
			as:      "dead",
			org:     "a",
			runtime: "dead",
			powers:  true,
		},
		{
			why:     "a foreign key as the runtime",
			key:     b,
			as:      "rt",
			org:     "b",
			runtime: "dead",
			powers:  true,
		},
		{why: "a foreign key", key: b, org: "b"},
		{
			why:     "a foreign key for the subaccount",
			key:     b,
			sub:     w.sub,
			org:     "b",
			runtime: "dead",
		},
		{
			why: "the organization for its subaccount",
			key: a,
			sub: w.sub,
			org: "b",
		},
		{
			why:     "the organization for its subaccount as its own runtime",
			key:     a,
			sub:     w.sub,
			as:      "rt",
			org:     "b",
			runtime: "dead",
		},
		{
			why:     "the runtime without any mount",
			key:     a,
			as:      "rt",
			mounts:  nothing,
			org:     "a",
			runtime: "rt",
		},
		{
			why:     "a runtime of another workspace",
			key:     a,
			as:      "other",
			org:     "a",
			runtime: "other",
			powers:  true,
		},
		{why: "a token of a stopped runtime", key: fixed(w.ofTheDead)},
		{why: "a revoked token", key: fixed(w.revokedToken)},
		{why: "an expired token", held: "rt", token: weaker(bctrl.Mounts{}, time.UnixMilli(1))},
		{why: "a forged token", held: "rt", token: forged},
		{
			why:     "a token that says to be another runtime",
			held:    "rt",
			token:   itself,
			as:      "other",
			org:     "a",
			runtime: "dead",
			powers:  true,
		},
		{
			why:     "a token of another organization",
			key:     fixed(foreignToken),
			org:     "b",
			runtime: "b",
			powers:  true,
		},
		{
			why:     "a token of another workspace",
			held:    "other",
			token:   itself,
			org:     "a",
			runtime: "other",
			powers:  true,
		},
		{
			why:     "a token without any mount left",
			held:    "rt",
			token:   weaker(none, time.Time{}),
			org:     "a",
			runtime: "rt",
		},
		{
			why:     "a token",
			held:    "rt",
			token:   itself,
			org:     "a",
			runtime: "rt",
			powers:  true,
		},
		{
			why:     "an attenuated token",
			held:    "rt",
			token:   weaker(bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{"x/"}}}, time.Time{}),
			org:     "a",
			runtime: "rt",
			powers:  true,
		},
		{
			why:     "a token that says who it is",
			held:    "rt",
			token:   itself,
			as:      "rt",
			org:     "a",
			runtime: "rt",
			powers:  true,
		},
		{
			why:     "the runtime",
			key:     a,
			as:      "rt",
			org:     "a",
			runtime: "rt",
			powers:  true,
		},
		{why: "the organization", key: a, org: "a"},
	}
}
