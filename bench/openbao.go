package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// openBaoProgram is OpenBao's, which is measured where it is found on the PATH.
	openBaoProgram = "bao"
	// openBaoLeftOut is said where there is none.
	openBaoLeftOut = "OpenBao is left out of the servers that are asked the same"
	// openBaoWait is how long a server may take to lead, and to make a mount.
	openBaoWait = 30 * time.Second
	// openBaoPolicy lets the token that is measured with do what is measured, as one of a service has it.
	openBaoPolicy = `path "secret/*" { capabilities = ["create", "read", "update"] }
path "totp/*" { capabilities = ["create", "read", "update"] }`
)

// openBao is a client of a server of OpenBao, for what is asked before anything is measured.
type openBao struct {
	url, token string
	http       *http.Client
}

func newOpenBao(url string) *openBao {
	return &openBao{url: url, http: newPlainClient(url).http}
}

// openBaoCommand runs without this program's environment, which could say otherwise than its settings.
func openBaoCommand(ctx context.Context, program, dir string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir}
	return cmd
}

// findOpenBao starts a server where the program is found, and says of which version. Where it is not,
// it says so and returns nil.
func findOpenBao(ctx context.Context, w io.Writer, dir string) (*process, error) {
	program, err := exec.LookPath(openBaoProgram)
	if err != nil {
		fmt.Fprintf(w, "\n%s: there is no program %s on the PATH\n", openBaoLeftOut, openBaoProgram)
		return nil, nil //nolint:nilerr // it is measured where it is there
	}
	version, err := openBaoCommand(ctx, program, dir, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", program, err)
	}
	fmt.Fprintf(w, "\nbeside %s", version)
	return startOpenBao(ctx, program, dir)
}

// openBaoSettings have one node, which keeps all of it below dir: secrets in its integrated storage
// (Raft), which its documentation recommends and which syncs each write, and the record of each request
// and its answer in a file, which it writes before it answers and does not sync.
func openBaoSettings(dir, address, clusterAddress string) ([]byte, error) {
	type object map[string]any
	return json.Marshal(object{
		"listener": object{"tcp": object{
			"address":         address,
			"cluster_address": clusterAddress,
			"tls_disable":     true,
		}},
		"api_addr":     "http://" + address,
		"cluster_addr": "https://" + clusterAddress,
		"storage": object{"raft": object{
			"path":                   filepath.Join(dir, "data"),
			"node_id":                "bench",
			"performance_multiplier": "1", // recommended for production; it has a node lead sooner
		}},
		"audit": []object{{"file": object{"uses": object{
			"description": "each request and each answer",
			"options":     object{"file_path": filepath.Join(dir, "audit")},
		}}}},
		"log_level": "error",
	})
}

// startOpenBao starts a server that has what is measured, with everything below dir. Its key is a token.
func startOpenBao(ctx context.Context, program, dir string) (*process, error) {
	addresses, err := freeAddresses(ctx, 2)
	if err != nil {
		return nil, err
	}
	settings, err := openBaoSettings(dir, addresses[0], addresses[1])
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "settings.json")
	err = errors.Join(os.WriteFile(file, settings, 0o600), os.Mkdir(filepath.Join(dir, "data"), 0o700))
	if err != nil {
		return nil, err
	}
	p := &process{url: "http://" + addresses[0], cmd: openBaoCommand(ctx, program, dir, "server", "-config="+file)}
	var said []string // what is wrong with its settings among it
	err = p.start(func(line string) bool {
		said = append(said, line)
		return strings.Contains(line, "server started")
	})
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, strings.Join(said, "\n"))
	}
	b := newOpenBao(p.url)
	defer b.http.CloseIdleConnections()
	if err := b.prepare(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("preparing OpenBao: %w: %s", err, p.stderr.String())
	}
	p.key = b.token
	return p, nil
}

// freeAddresses are so many of loopback that nobody listened on a moment ago.
func freeAddresses(ctx context.Context, n int) (addresses []string, err error) {
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the last of them, so that they differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// prepare makes a server that just starts one to be measured, and has the client use the token for that.
func (b *openBao) prepare(ctx context.Context) error {
	type object map[string]any
	var made struct {
		Keys      []string `json:"keys_base64"`
		RootToken string   `json:"root_token"`
	}
	err := b.ask(ctx, http.MethodPut, "sys/init", object{"secret_shares": 1, "secret_threshold": 1}, &made)
	if err != nil {
		return err
	}
	if len(made.Keys) != 1 {
		return fmt.Errorf("there are %d keys of the seal", len(made.Keys))
	}
	if err := b.ask(ctx, http.MethodPut, "sys/unseal", object{"key": made.Keys[0]}, nil); err != nil {
		return err
	}
	b.token = made.RootToken
	err = eventually(ctx, func() error { return b.ask(ctx, http.MethodGet, "sys/health", nil, nil) })
	if err != nil {
		return err
	}
	var created struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	for _, step := range []struct {
		path    string
		in, out any
	}{
		{"sys/mounts/secret", object{"type": "kv", "options": object{"version": "2"}}, nil},
		{"sys/mounts/totp", object{"type": "totp"}, nil},
		{"sys/policies/acl/bench", object{"policy": openBaoPolicy}, nil},
		{"auth/token/create", object{"policies": []string{"bench"}, "no_default_policy": true}, &created},
	} {
		if err := b.ask(ctx, http.MethodPost, step.path, step.in, step.out); err != nil {
			return err
		}
	}
	b.token = created.Auth.Token
	// A mount of version 2 takes nothing until it has made itself one.
	return eventually(ctx, func() error { return b.set(ctx, workKey(0, 0)) })
}

// fill sets what is worked on.
func (b *openBao) fill(ctx context.Context) error {
	return each(ctx, peerKeys, func(ctx context.Context, i int) error { return b.set(ctx, workKey(i/64, i)) })
}

// set sets a login and, since one that is a secret has no codes, its seed as a key of the TOTP engine.
func (b *openBao) set(ctx context.Context, key string) error {
	name, login := openBaoName(key), sampleLogin()
	if err := b.ask(ctx, http.MethodPost, "secret/data/"+name, openBaoSecret{login}, nil); err != nil {
		return err
	}
	return b.ask(ctx, http.MethodPost, "totp/keys/"+name, map[string]any{
		"key": login.TOTP, "account_name": login.Username, "issuer": namespace,
	}, nil)
}

// openBaoSecret is a login as the body of a request.
type openBaoSecret struct {
	Data login `json:"data"`
}

// openBaoName is a key for a secret and for codes, whose names have no slash.
func openBaoName(key string) string { return strings.ReplaceAll(key, "/", "-") }

// ask sends in, if any, and decodes the answer into out, if that is wanted.
func (b *openBao) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = newReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+"/v1/"+path, body)
	if err != nil {
		return err
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s %s: OpenBao answered %d: %s", method, path, resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// eventually asks again for a while, as long as that fails.
func eventually(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(openBaoWait)
	defer late.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
