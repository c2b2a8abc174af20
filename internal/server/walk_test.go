package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// The rules of who may do what, written here a second time from the
// documentation: the walk below holds the server to them on every route.
var (
	// walkMounted are rights that a runtime has where its mounts give them.
	walkMounted = strings.Fields(`ai.use ai.read vault.use vault.list vault.readRaw
		storage.get storage.put storage.delete storage.list storage.sign capability.read capability.invoke`)
	// walkOwn are rights that a runtime has to itself, whatever its mounts.
	walkOwn = strings.Fields("runtime.read runtime.stop runtime.connect runtime.execute operation.read operation.cancel")
	// walkAnybody are rights of everybody who is somebody.
	walkAnybody = []string{"self.read"}
	// All others are for organization keys alone.
)

// aim is what a request is about.
type aim struct {
	target, body string
	// of is the runtime whose this is, or whose mounts hold it: "rt" and
	// "other" are live ones, "" is none, and of a list that is filtered "each"
	// has its part.
	of string
	// found is set where the organization has it, or where the request makes
	// or lists.
	found bool
	// anyone is set where the request makes or lists by name: in another
	// organization it works too, on what is that organization's.
	anyone bool
	// again makes the thing anew before each request, where requests end it.
	again func(w *world)
}

// stop is a route and what may be asked of it.
type stop struct {
	route, right string
	aims         []aim
}

func walk() []stop {
	const missing = "00000000-0000-7000-8000-000000000000"
	in := func(target string) aim { return aim{target: target, of: "rt", found: true} }
	out := func(target string) aim { return aim{target: target, found: true} }
	others := func(target string) aim { return aim{target: target, of: "other", found: true} }
	lacking := func(target, of string) aim { return aim{target: target, of: of} }
	list := func(target, of string) aim { return aim{target: target, of: of, found: true, anyone: true} }
	makes := func(target, of, body string) aim {
		return aim{target: target, of: of, body: body, found: true, anyone: true}
	}
	with := func(body string, aims ...aim) []aim {
		aims = slices.Clone(aims)
		for i := range aims {
			aims[i].body = body
		}
		return aims
	}
	each := func(suffix string, aims ...aim) []aim {
		aims = slices.Clone(aims)
		for i := range aims {
			aims[i].target += suffix
		}
		return aims
	}
	credentials := []aim{in("/v1/ai-credentials/acme-mine"), others("/v1/ai-credentials/acme-theirs"), lacking("/v1/ai-credentials/nobodys", "")}
	secrets := []aim{
		in("/v1/vault/prod%2Fcrm%2Facme"), others("/v1/vault/email%2Facme"), out("/v1/vault/root%2Facme"),
		lacking("/v1/vault/prod%2Fcrm%2Fno", "rt"), lacking("/v1/vault/email%2Fno", "other"), lacking("/v1/vault/root%2Fno", ""),
	}
	const files = "/v1/storage/namespaces/"
	paths := []aim{
		in(files + "acme-sales/files/a%2Facme.txt"), others(files + "acme-email/files/a%2Facme.txt"), out(files + "acme-root/files/a%2Facme.txt"),
		lacking(files+"acme-sales/files/no", "rt"), lacking(files+"acme-email/files/no", "other"), lacking(files+"nowhere/files/no", ""),
	}
	afresh := func(do func(*world), aims []aim) []aim {
		aims = slices.Clone(aims)
		for i := range aims {
			aims[i].again = do
		}
		return aims
	}
	again := func(aims []aim) []aim { return afresh((*world).files, aims) }
	living := func(aims []aim) []aim { return afresh((*world).runtimes, aims) }
	objects := []aim{in("/v1/storage/objects/{object acme-sales}"), others("/v1/storage/objects/{object acme-email}"), out("/v1/storage/objects/{object acme-root}"), lacking("/v1/storage/objects/"+missing, "")}
	runtimes := []aim{
		in("/v1/workspaces/{ws}/runtimes/acme-rt"), others("/v1/workspaces/{ws2}/runtimes/acme-other"),
		lacking("/v1/workspaces/{ws}/runtimes/nobody", ""), lacking("/v1/workspaces/{ws2}/runtimes/acme-rt", ""), lacking("/v1/workspaces/"+missing+"/runtimes/acme-rt", ""),
	}
	workspaces := []aim{out("/v1/workspaces/{ws}"), lacking("/v1/workspaces/"+missing, "")}
	operations := []aim{in("/v1/operations/{op}"), others("/v1/operations/{op2}"), lacking("/v1/operations/"+missing, "")}
	profiles := []aim{out("/v1/browser-profiles/acme-bot"), lacking("/v1/browser-profiles/nobody", "")}
	keys := []aim{out("/v1/keys/{spare}"), lacking("/v1/keys/"+missing, "")}
	scoped := []aim{out("/v1/secrets/{secret}"), lacking("/v1/secrets/"+missing, "")}
	brokered := []aim{out("/v1/credentials/acme-key"), lacking("/v1/credentials/nobodys", "")}
	capabilities := []aim{
		in("/v1/capabilities/acme%2Fmine"), others("/v1/capabilities/acme%2Ftheirs"), out("/v1/capabilities/acme%2Froot"), lacking("/v1/capabilities/nobody%2Fno", ""),
	}
	bound := []aim{out("/v1/bindings?capability=acme%2Froot&scope=global"), lacking("/v1/bindings?capability=nobody%2Fno&scope=global", "")}
	tokens := []aim{out("/v1/tokens/{token}"), lacking("/v1/tokens/"+missing, "")}
	execution := func(ws, alias, of string, found bool) aim {
		return aim{
			target: "/v1/workspaces/" + ws + "/execute", of: of, found: found,
			body: `{"runtime": "` + alias + `", "steps": [{"call": "page.goto", "args": {"url": "http://127.0.0.1:9"}}]}`,
		}
	}
	return []stop{
		{"POST /v1/ai-credentials", "ai.write", []aim{makes("/v1/ai-credentials", "", `{"id": "n{n}", "provider": "openai", "apiKey": "k"}`)}},
		{"GET /v1/ai-credentials", "ai.read", []aim{list("/v1/ai-credentials", "each")}},
		{"GET /v1/ai-credentials/{id}", "ai.read", credentials},
		{"PATCH /v1/ai-credentials/{id}", "ai.write", with(`{"label": "acme"}`, credentials...)},
		{"POST /v1/ai-credentials/{id}/test", "ai.use", each("/test", credentials...)},
		{"GET /v1/vault", "vault.list", []aim{
			list("/v1/vault", "each"), list("/v1/vault?prefix=prod%2Fcrm%2F", "each"), list("/v1/vault?prefix=email%2F&meta=true", "each"),
		}},
		{"GET /v1/vault/{key}", "vault.readRaw", secrets},
		{"GET /v1/vault/{key}/totp", "vault.use", each("/totp", secrets...)},
		{"PUT /v1/vault/{key}", "vault.write", []aim{makes("/v1/vault/prod%2Fcrm%2Fn{n}", "rt", `{"password": "p"}`)}},
		{"PUT /v1/storage/namespaces/{ns}/files/{path}", "storage.put", []aim{
			makes(files+"acme-sales/files/n{n}", "rt", "x"), makes(files+"acme-email/files/n{n}", "other", "x"), makes(files+"acme-root/files/n{n}", "", "x"),
		}},
		{"GET /v1/storage/namespaces/{ns}/files/{path}", "storage.get", paths},
		{"HEAD /v1/storage/namespaces/{ns}/files/{path}", "storage.get", paths},
		{"GET /v1/storage/namespaces/{ns}/files/{path}/download-url", "storage.sign", each("/download-url", paths...)},
		{"GET /v1/storage/namespaces/{ns}/browse", "storage.list", []aim{
			list(files+"acme-sales/browse?prefix=a/", "rt"), list(files+"acme-email/browse?prefix=a/", "other"), list(files+"acme-root/browse?prefix=a/", ""),
		}},
		{"DELETE /v1/storage/namespaces/{ns}/files/{path}", "storage.delete", again(paths)},
		{"POST /v1/storage/objects", "storage.put", []aim{
			makes("/v1/storage/objects", "rt", "form acme-sales"), makes("/v1/storage/objects", "other", "form acme-email"), makes("/v1/storage/objects", "", "form acme-root"),
		}},
		{"GET /v1/storage/objects", "storage.list", []aim{
			list("/v1/storage/objects?workspace=acme-sales&pathPrefix=a/", "rt"), list("/v1/storage/objects?workspace=acme-email&pathPrefix=a/", "other"),
			list("/v1/storage/objects?workspace=acme-root&pathPrefix=a/", ""),
		}},
		{"GET /v1/storage/objects/{id}", "storage.get", again(objects)},
		{"GET /v1/storage/objects/{id}/presign-download", "storage.sign", again(each("/presign-download", objects...))},
		{"DELETE /v1/storage/objects/{id}", "storage.delete", again(objects)},
		{"POST /v1/workspaces", "workspace.write", []aim{makes("/v1/workspaces", "", `{"name": "n{n}"}`)}},
		{"GET /v1/workspaces", "workspace.read", []aim{list("/v1/workspaces", ""), list("/v1/workspaces?name=acme-ws", "")}},
		{"GET /v1/workspaces/{id}", "workspace.read", workspaces},
		{"PATCH /v1/workspaces/{id}", "workspace.write", with(`{}`, workspaces...)},
		{"GET /v1/workspaces/{id}/state", "workspace.read", each("/state", workspaces...)},
		{"POST /v1/workspaces/{id}/runtimes", "runtime.launch", with(
			`{"alias": "n{n}", "kind": "browser", "driver": "stagehand", "launch": {"mode": "ephemeral"}}`, each("/runtimes", workspaces...)...)},
		{"GET /v1/workspaces/{id}/runtimes", "runtime.list", each("/runtimes", workspaces...)},
		{"GET /v1/workspaces/{id}/runtimes/{alias}", "runtime.read", runtimes},
		{"GET /v1/workspaces/{id}/runtimes/{alias}/connect", "runtime.connect", each("/connect", runtimes...)},
		{"POST /v1/workspaces/{id}/execute", "runtime.execute", []aim{
			execution("{ws}", "acme-rt", "rt", true), execution("{ws2}", "acme-other", "other", true),
			execution("{ws}", "nobody", "", false), execution(missing, "acme-rt", "", false),
		}},
		{"GET /v1/operations/{id}", "operation.read", operations},
		{"POST /v1/operations/{id}/wait", "operation.read", with(`{"timeoutMs": 60000}`, each("/wait", operations...)...)},
		{"POST /v1/operations/{id}/cancel", "operation.cancel", each("/cancel", operations...)},
		{"POST /v1/browser-profiles", "profile.write", []aim{makes("/v1/browser-profiles", "", `{"id": "n{n}"}`)}},
		{"GET /v1/browser-profiles", "profile.read", []aim{list("/v1/browser-profiles", "")}},
		{"GET /v1/browser-profiles/{id}", "profile.read", profiles},
		{"PATCH /v1/browser-profiles/{id}", "profile.write", with(`{"label": "acme"}`, profiles...)},
		{"POST /v1/keys", "key.write", []aim{makes("/v1/keys", "", `{"label": "n{n}"}`)}},
		{"GET /v1/keys", "key.read", []aim{list("/v1/keys", "")}},
		{"POST /v1/workspaces/{id}/runtimes/{alias}/tokens", "token.write", with(`{"ttlMs": 60000}`, each("/tokens", runtimes...)...)},
		{"DELETE /v1/tokens/{id}", "token.write", tokens},
		{"POST /v1/workspaces/{id}/runtimes/{alias}/explain", "runtime.read", with(`{"verb": "vault.use", "object": "prod/crm/acme"}`, each("/explain", runtimes...)...)},
		{"GET /v1/self", "self.read", []aim{list("/v1/self", "")}},
		{"POST /v1/secrets", "secret.write", []aim{makes("/v1/secrets", "", `{"name": "N{n}", "value": "v", "scope": {"type": "global"}}`)}},
		{"GET /v1/secrets", "secret.read", []aim{list("/v1/secrets", ""), list("/v1/secrets?name=ACME", "")}},
		{"GET /v1/secrets/{id}", "secret.read", scoped},
		{"PATCH /v1/secrets/{id}", "secret.write", with(`{"aliases": ["a{n}"]}`, scoped...)},
		{"POST /v1/secrets/{id}/rotate", "secret.write", with(`{"value": "v"}`, each("/rotate", scoped...)...)},
		{"PUT /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", "secret.write", each("/attachments/{ws}/g", scoped...)},
		{"DELETE /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", "secret.write", each("/attachments/{ws}/g", scoped...)},
		{"POST /v1/secrets/import", "secret.write", []aim{makes("/v1/secrets/import", "", `{"scope": {"type": "global"}, "text": "N{n}=1"}`)}},
		{"GET /v1/seal", "seal.read", []aim{list("/v1/seal", "")}},
		{"POST /v1/seal/lock", "seal.write", []aim{list("/v1/seal/lock", "")}}, // who may calls last
		{"POST /v1/seal/unlock", "seal.write", afresh((*world).unlock, with(`{}`, list("/v1/seal/unlock", "")))},
		{"POST /v1/seal/rotate", "seal.write", with(`{}`, list("/v1/seal/rotate", ""))},
		{"POST /v1/credentials", "credential.write", []aim{makes("/v1/credentials", "",
			`{"id": "n{n}", "provider": "corp", "scope": {"type": "global"}, "auth": {"type": "none"}, "hosts": ["api.corp.example"]}`)}},
		{"GET /v1/credentials", "credential.read", []aim{list("/v1/credentials", "")}},
		{"GET /v1/credentials/{id}", "credential.read", brokered},
		{"PATCH /v1/credentials/{id}", "credential.write", with(`{"priority": 0}`, brokered...)},
		{"GET /v1/capabilities", "capability.read", []aim{list("/v1/capabilities?limit=1000", "each"), list("/v1/capabilities?provider=acme", "each")}},
		{"GET /v1/capabilities/{id}", "capability.read", capabilities},
		{"PUT /v1/capabilities/{id}", "capability.write", []aim{makes("/v1/capabilities/corp%2Fn{n}", "", `{"methods": ["GET"], "paths": ["/"]}`)}},
		{"PUT /v1/capabilities/{id}/policy", "capability.write", with(`{"callsPerMinute": 1000}`, each("/policy", capabilities...)...)},
		{"POST /v1/capabilities/{id}/invoke", "capability.invoke", with(`{"path": "/x"}`, each("/invoke", capabilities...)...)},
		{"ANY /v1/proxy/{target}/{path...}", "capability.invoke", []aim{
			in("/v1/proxy/acme%2Fmine/x"), others("/v1/proxy/acme%2Ftheirs/x"), out("/v1/proxy/acme%2Froot/x"), lacking("/v1/proxy/nobody%2Fno/x", ""),
		}},
		{"GET /v1/bindings", "binding.read", []aim{list("/v1/bindings", "")}},
		{"PUT /v1/bindings", "binding.write", []aim{
			{target: "/v1/bindings", found: true, body: `{"capability": "acme/root", "field": "secret", "secretRef": "vault:secret:{secret}", "scope": {"type": "global"}}`},
			{target: "/v1/bindings", body: `{"capability": "nobody/no", "field": "secret", "secretRef": "vault:secret:{secret}", "scope": {"type": "global"}}`},
		}},
		{"POST /v1/subaccounts", "subaccount.write", []aim{makes("/v1/subaccounts", "", `{"name": "n{n}"}`)}},
		{"GET /v1/subaccounts", "subaccount.read", []aim{list("/v1/subaccounts", "")}},
		// Nobody needs to be known for these.
		{"GET /healthz", "public", nil}, {"GET /readyz", "public", nil}, {"GET /v1/openapi.json", "public", nil},
		{"GET /v1/downloads/{signature}/{name}", "public", nil}, {"HEAD /v1/downloads/{signature}/{name}", "public", nil},
		{"GET /devtools/browser/{token}", "public", nil},
		// These end things, and so come last.
		{"DELETE /v1/subaccounts/{id}", "subaccount.write", each("?force=true", lacking("/v1/subaccounts/"+missing, ""), out("/v1/subaccounts/{sub2}"))},
		{"DELETE /v1/keys/{id}", "key.write", keys},
		// Up to a time before all: everybody's own events name what they asked for.
		{"GET /v1/audit", "audit.read", []aim{list("/v1/audit?until=2020-01-01T00:00:00Z", "")}},
		{"GET /v1/audit/verify", "audit.read", []aim{list("/v1/audit/verify", "")}},
		{"GET /v1/audit/export", "audit.read", []aim{list("/v1/audit/export?until=2020-01-01T00:00:00Z", "")}},
		{"GET /v1/audit/stream", "audit.read", []aim{list("/v1/audit/stream", "")}},
		{"DELETE /v1/browser-profiles/{id}", "profile.write", profiles},
		{"DELETE /v1/vault/{key}", "vault.write", secrets},
		{"DELETE /v1/bindings", "binding.write", bound},
		{"DELETE /v1/capabilities/{id}", "capability.write", capabilities},
		{"DELETE /v1/credentials/{id}", "credential.write", brokered},
		{"DELETE /v1/secrets/{id}", "secret.write", []aim{scoped[1], scoped[0]}},
		{"POST /v1/workspaces/{id}/runtimes/{alias}/stop", "runtime.stop", living(each("/stop", runtimes...))},
		{"DELETE /v1/ai-credentials/{id}", "ai.write", each("?force=true", credentials...)},
		{"DELETE /v1/workspaces/{id}", "workspace.write", each("?force=true", workspaces[1], workspaces[0])},
	}
}

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
	made    int
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

// unlock undoes a lock.
func (w *world) unlock() {
	require.NoError(w, w.server.custody.Unlock(w.Context(), bctrl.Secret{}, nil))
}

// files stores them anew.
func (w *world) files() {
	for _, ns := range []string{"acme-sales", "acme-email", "acme-root"} {
		got := w.send("PUT", "/v1/storage/namespaces/"+ns+"/files/a%2Facme.txt", strings.NewReader("acme"), "Authorization", "Bearer "+w.key)
		require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
		_, rest, _ := strings.Cut(string(got.Body), `"id":"`)
		w.objects["{object "+ns+"}"] = rest[:36]
	}
}

// runtimes launches those that do not run.
func (w *world) runtimes() {
	for name, ws := range map[string]store.Workspace{"rt": w.ws, "other": w.ws2} {
		if rt, err := w.db.Read().Runtime(w.Context(), w.org(), w.live[name]); err != nil || !rt.Live {
			w.live[name] = w.launch(ws, "acme-"+name, nil).ID
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

func newWorld(t *testing.T) (*world, []somebody) {
	t.Helper()
	w := &world{harness: newHarness(t, standingIn(t, acmeHost, func(http.ResponseWriter, *http.Request) {})), objects: map[string]string{}, minted: map[string]bctrl.Secret{}}
	ctx := t.Context()
	for _, id := range []string{"acme-mine", "acme-theirs"} {
		body := openAI(id)
		body["baseUrl"] = "http://127.0.0.1:9/v1" // nobody answers
		w.ok("POST", []string{"ai-credentials"}, body, nil)
	}
	for _, key := range []string{"prod/crm/acme", "email/acme", "root/acme"} {
		w.ok("PUT", []string{"vault", key}, object{"username": "acme", "password": "acme", "totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}, nil)
	}
	w.files()
	var scoped bctrl.SecretInfo
	w.ok("POST", []string{"secrets"}, object{"name": "ACME", "value": "acme", "aliases": []string{"acme"}, "scope": object{"type": "global"}}, &scoped)
	for _, name := range []string{"acme/mine", "acme/theirs", "acme/root"} {
		w.ok("PUT", []string{"capabilities", name}, object{"methods": []string{"GET"}, "paths": []string{"/"}}, nil)
	}
	w.ok("POST", []string{"credentials"}, object{"id": "acme-key", "provider": "acme", "scope": object{"type": "global"}, "secretRef": "vault:secret:" + scoped.ID,
		"auth": object{"type": "header", "headers": object{"X-Key": "{secret}"}}, "hosts": []string{"api.acme.example"}}, nil)
	w.ok("POST", []string{"browser-profiles"}, object{"id": "acme-bot"}, nil)
	mounts := func(credential, prefix, ns string) object {
		return object{"ai": object{"allow": []string{credential}}, "capabilities": object{"allow": []string{strings.Replace(credential, "-", "/", 1)}}, "vault": object{"allow": []string{prefix}, "allowRawReads": true}, "storage": object{"workspace": ns}}
	}
	ws, ws2 := w.harness.made("acme-ws", mounts("acme-mine", "prod/crm/", "acme-sales")), w.harness.made("acme-ws2", mounts("acme-theirs", "email/", "acme-email"))
	w.ws, w.ws2 = ws, ws2
	dead := w.launch(ws, "acme-dead", nil)
	w.live = map[string]string{"dead": dead.ID}
	w.runtimes()
	ofTheDead, spareToken, revokedToken := w.token("dead"), w.mint(ws.ID, "acme-rt", object{}), w.mint(ws.ID, "acme-rt", object{})
	w.ok("POST", []string{"workspaces", ws.ID, "runtimes", "acme-dead", "stop"}, nil, nil)
	w.ok("DELETE", []string{"tokens", tokenID(t, revokedToken)}, nil, nil)
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
	sub, sub2 := w.subaccount("acme-sub"), w.subaccount("acme-sub2")
	w.names = strings.NewReplacer("{sub}", sub, "{sub2}", sub2, "{ws}", ws.ID, "{ws2}", ws2.ID, "{op}", op, "{op2}", op2, "{spare}", spare.ID, "{secret}", scoped.ID, "{token}", tokenID(t, spareToken))
	w.ids = []string{ws.ID, ws2.ID, w.live["rt"], w.live["other"], dead.ID, op, op2, spare.ID, spare.Key, revoked.ID, scoped.ID, tokenID(t, spareToken), sub2, "acme"}

	foreign, hash := NewKey()
	other := store.Organization{ID: newID(), Name: "b", CreatedAt: time.Now()}
	w.write(func(tx *store.Tx) error { return tx.InsertOrganization(ctx, other) })
	w.write(func(tx *store.Tx) error {
		return tx.InsertAPIKey(ctx, store.APIKey{ID: newID(), Org: other.ID, Label: "b", Hash: hash, CreatedAt: time.Now()})
	})
	a, b := "Bearer "+w.key, "Bearer "+foreign.Expose()
	foreignWS := store.Workspace{}
	w.as(foreign.Expose(), func() {
		foreignWS = w.harness.made("b-ws", object{"vault": object{"allow": []string{"b/"}}})
		w.launch(foreignWS, "b", nil)
	})
	var foreignToken bctrl.Secret
	w.as(foreign.Expose(), func() { foreignToken = w.mint(foreignWS.ID, "b", object{}) })
	fixed := func(s bctrl.Secret) string { return "Bearer " + s.Expose() }
	itself := func(s bctrl.Secret) bctrl.Secret { return s }
	weaker := func(m bctrl.Mounts, expiry time.Time) func(bctrl.Secret) bctrl.Secret {
		return func(s bctrl.Secret) bctrl.Secret {
			out, err := bctrl.Attenuate(s, m, expiry)
			require.NoError(t, err)
			return out
		}
	}
	none := bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{}}, Vault: &bctrl.VaultMount{Allow: []string{}}, Storage: &bctrl.StorageMount{Access: bctrl.StorageNone},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{}}}
	nothing := `{"ai": {"allow": []}, "vault": {"allow": []}, "storage": {"access": "none"}, "capabilities": {"allow": []}}`
	return w, []somebody{
		{why: "no key"},
		{why: "a wrong key", key: "Bearer bctrl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{why: "a revoked key", key: "Bearer " + revoked.Key},
		{why: "a stopped runtime", key: a, as: "dead", org: "a", runtime: "dead", powers: true},
		{why: "a foreign key as the runtime", key: b, as: "rt", org: "b", runtime: "dead", powers: true},
		{why: "a foreign key", key: b, org: "b"},
		{why: "a foreign key for the subaccount", key: b, sub: sub, org: "b", runtime: "dead"},
		{why: "the organization for its subaccount", key: a, sub: sub, org: "b"},
		{why: "the organization for its subaccount as its own runtime", key: a, sub: sub, as: "rt", org: "b", runtime: "dead"},
		{why: "the runtime without any mount", key: a, as: "rt", mounts: nothing, org: "a", runtime: "rt"},
		{why: "a runtime of another workspace", key: a, as: "other", org: "a", runtime: "other", powers: true},
		{why: "a token of a stopped runtime", key: fixed(ofTheDead)},
		{why: "a revoked token", key: fixed(revokedToken)},
		{why: "an expired token", held: "rt", token: weaker(bctrl.Mounts{}, time.UnixMilli(1))},
		{why: "a forged token", held: "rt", token: forged},
		{why: "a token that says to be another runtime", held: "rt", token: itself, as: "other", org: "a", runtime: "dead", powers: true},
		{why: "a token of another organization", key: fixed(foreignToken), org: "b", runtime: "b", powers: true},
		{why: "a token of another workspace", held: "other", token: itself, org: "a", runtime: "other", powers: true},
		{why: "a token without any mount left", held: "rt", token: weaker(none, time.Time{}), org: "a", runtime: "rt"},
		{why: "a token", held: "rt", token: itself, org: "a", runtime: "rt", powers: true},
		{why: "an attenuated token", held: "rt", token: weaker(bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{"x/"}}}, time.Time{}), org: "a", runtime: "rt", powers: true},
		{why: "a token that says who it is", held: "rt", token: itself, as: "rt", org: "a", runtime: "rt", powers: true},
		{why: "the runtime", key: a, as: "rt", org: "a", runtime: "rt", powers: true},
		{why: "the organization", key: a, org: "a"},
	}
}

// unseen are names that a list must not hold for this caller.
func (who somebody) unseen() []string {
	mine := map[string]string{"rt": "prod/crm/acme acme-mine acme/mine", "other": "email/acme acme-theirs acme/theirs"}
	var not []string
	for of, names := range mine {
		if who.runtime != "" && (who.runtime != of || !who.powers) {
			not = append(not, strings.Fields(names)...)
		}
	}
	if who.runtime != "" {
		not = append(not, "root/acme", "acme/root")
	}
	return not
}

// expected is the status by the rules: 401, 403, 404, 409 for a caller who is
// no runtime any more or, for yes, 200.
func expected(right string, who somebody, about aim) int {
	switch {
	case who.org == "":
		return http.StatusUnauthorized
	case who.runtime == "dead" && who.as != "" && who.token == nil: // which there is none of in its organization
		return http.StatusConflict
	case who.runtime == "dead":
		return http.StatusForbidden
	case who.runtime != "":
		mine := about.of == who.runtime
		switch {
		case about.of == "each": // a list of what each may see, empty perhaps
		case slices.Contains(walkAnybody, right):
		case slices.Contains(walkOwn, right) && mine:
		case slices.Contains(walkMounted, right) && mine && who.powers:
		default:
			return http.StatusForbidden
		}
	case who.org == "b" && strings.HasPrefix(right, "seal."):
		return http.StatusForbidden // the operator's
	case who.sub != "" && right == "subaccount.write" && about.anyone:
		return http.StatusForbidden // subaccounts are not nested
	case who.org == "b" && !about.anyone:
		return http.StatusNotFound
	}
	if !about.found {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// ask sends what the aim says.
func (w *world) ask(method string, about aim, who somebody) answer {
	if about.again != nil {
		about.again(w)
	}
	w.made++
	target := w.names.Replace(about.target)
	for name, id := range w.objects {
		target = strings.ReplaceAll(target, name, id)
	}
	n := strconv.Itoa(w.made)
	target, body := strings.ReplaceAll(target, "{n}", n), w.names.Replace(strings.ReplaceAll(about.body, "{n}", n))
	if method == "ANY" {
		method = http.MethodGet
	}
	// The same id for all, so that answers can be compared byte for byte.
	headers := []string{"x-request-id", "walk"}
	key := who.key
	if who.token != nil {
		key = "Bearer " + who.token(w.token(who.held)).Expose()
	}
	if key != "" {
		headers = append(headers, "Authorization", key)
	}
	if who.as != "" {
		headers = append(headers, "BCTRL-Runtime", w.live[who.as])
	}
	if who.sub != "" {
		headers = append(headers, "BCTRL-Subaccount-Id", who.sub)
	}
	if who.mounts != "" {
		headers = append(headers, "BCTRL-Mounts", base64.RawURLEncoding.EncodeToString([]byte(who.mounts)))
	}
	if ns, ok := strings.CutPrefix(body, "form "); ok {
		body = fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=\"workspace\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\nn%s\r\n"+
			"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n", ns, n)
		headers = append(headers, "Content-Type", "multipart/form-data; boundary=b")
	} else if strings.HasPrefix(body, "{") {
		headers = append(headers, "Content-Type", "application/json")
	} else if body != "" {
		headers = append(headers, "Content-Type", "text/plain")
	}
	// Past the check against openapi.yaml, which other tests have and which
	// would take most of the time here.
	req := httptest.NewRequestWithContext(w.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
}

// TestEveryRouteIsHeldToItsRightWhoeverCalls calls every route as everybody
// about what is there and what is not, and compares each answer with the rules
// above. What is denied must be denied alike whether the thing exists or not.
func TestEveryRouteIsHeldToItsRightWhoeverCalls(t *testing.T) {
	w, everybody := newWorld(t)
	many := strangerLimit{1 << 20, 1} // more are nobody here than a server answers one by one
	w.server.strangers.perAddress, w.server.strangers.all = many, many.limiter()
	var log bytes.Buffer
	w.server.log = slog.New(slog.NewTextHandler(&log, nil))
	stops := walk()
	for _, rt := range w.server.routes {
		i := slices.IndexFunc(stops, func(s stop) bool { return s.route == rt.method+" "+rt.path })
		require.GreaterOrEqual(t, i, 0, "%s %s is not walked", rt.method, rt.path)
		require.Equal(t, stops[i].right, string(rt.verb), "%s %s", rt.method, rt.path)
	}
	require.Len(t, w.server.routes, len(stops), "a route that is walked is gone")

	for _, s := range stops {
		method, _, _ := strings.Cut(s.route, " ")
		denied := map[string]string{}
		for _, about := range s.aims {
			for _, who := range everybody {
				got := w.ask(method, about, who)
				why := fmt.Sprintf("%s: %s %s", who.why, method, about.target)
				want := expected(s.right, who, about)
				if assert.Equal(t, want, got.Status, "%s: %s", why, got.Body); want == http.StatusOK {
					if about.of == "each" {
						for _, name := range who.unseen() {
							assert.NotContains(t, string(got.Body), name, why)
						}
					}
					if who.org == "b" {
						// Its own new things may lie in a namespace of that name.
						text := strings.ReplaceAll(string(got.Body), `"acme-sales`, "")
						text = strings.NewReplacer(`"acme-email`, "", `"acme-root`, "").Replace(text)
						for _, id := range w.ids {
							assert.NotContains(t, text, id, why)
						}
					}
					continue
				}
				// One answer for each caller and status, whatever it was about.
				whole := fmt.Sprintf("%v\n%s", got.Header, got.Body)
				kind := who.why + strconv.Itoa(want)
				if first, seen := denied[kind]; seen && (want != http.StatusNotFound || who.org == "b" && s.route != "POST /v1/workspaces/{id}/execute") &&
					s.route != "POST /v1/subaccounts" {
					assert.Equal(t, first, whole, why)
				}
				denied[kind] = whole
			}
		}
	}
	require.NotContains(t, log.String(), undecided, "every handler asks")
}
