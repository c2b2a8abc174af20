package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serveBare in the environment makes this program the bare server; it names
// the directory for files.
const serveBare = "BCTRL_BENCH_BARE"

// login is what a vault entry is made of, without any of the server's types.
type login struct {
	Username string   `json:"username,omitempty"`
	Password string   `json:"password,omitempty"`
	TOTP     string   `json:"totp,omitempty"`
	Origins  []string `json:"origins,omitempty"`
	Fill     string   `json:"fill,omitempty"`
}

// entry is what a set answers.
type entry struct {
	Key       string    `json:"key"`
	Username  string    `json:"username,omitempty"`
	HasTOTP   bool      `json:"hasTotp"`
	Origins   []string  `json:"origins,omitempty"`
	Fill      string    `json:"fill,omitempty"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// bareFile has as much to say as a storage object.
type bareFile struct {
	ID, Workspace, LogicalPath, ObjectKey, Filename, ContentType, SHA256, Source, ETag string
	SizeBytes                                                                          int64
	CreatedAt                                                                          time.Time
}

func sampleLogin() login {
	return login{
		Username: "bot@example.com",
		Password: "correct horse battery staple",
		TOTP:     seed,
		Origins:  []string{"https://login.example.com"},
	}
}

// bareHandler answers like the server, from memory and without checking,
// sealing, recording or storing anything but files, which it syncs.
func bareHandler(dir string) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client is gone; there is nobody to tell
	}
	keys := make([]string, pageSize)
	for i := range keys {
		keys[i] = vaultKey(i)
	}
	stored := make([]bareFile, pageSize)
	for i := range stored {
		path := objectPath(i)
		stored[i] = bareFile{
			ID:          sampleID,
			Workspace:   namespace,
			LogicalPath: path,
			ObjectKey:   namespace + "/" + path,
			Filename:    filepath.Base(path),
			ContentType: "text/plain",
			SHA256:      sampleSum,
			Source:      "upload",
			ETag:        sampleSum,
			SizeBytes:   4096,
			CreatedAt:   time.Now(),
		}
	}
	mux.HandleFunc("PUT /v1/vault/{key}", func(w http.ResponseWriter, r *http.Request) {
		var in login
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		now := time.Now()
		answer(w, entry{
			Key:       r.PathValue("key"),
			Username:  in.Username,
			HasTOTP:   in.TOTP != "",
			Origins:   in.Origins,
			Fill:      "swap",
			Version:   1,
			CreatedAt: now,
			UpdatedAt: now,
		})
	})
	mux.HandleFunc("GET /v1/vault/{key}", func(w http.ResponseWriter, r *http.Request) { answer(w, sampleLogin()) })
	mux.HandleFunc("GET /v1/vault/{key}/totp", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"code": "123456", "expiresAt": time.Now()})
	})
	mux.HandleFunc("GET /v1/vault", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"keys": keys, "nextCursor": keys[len(keys)-1]})
	})
	mux.HandleFunc("GET /v1/ai-credentials/{id}", func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		answer(w, map[string]any{
			"id":        r.PathValue("id"),
			"provider":  "openai",
			"label":     "Production",
			"enabled":   true,
			"createdAt": now,
			"updatedAt": now,
		})
	})
	mux.HandleFunc("GET /v1/storage/namespaces/{ns}/browse", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"files": stored, "folders": []string{}, "nextCursor": "x"})
	})
	mux.HandleFunc("PUT /v1/storage/namespaces/{ns}/files/{path}", func(w http.ResponseWriter, r *http.Request) {
		n, err := keep(dir, filepath.Base(r.PathValue("path")), r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, bareFile{SizeBytes: n})
	})
	mux.HandleFunc("GET /v1/storage/namespaces/{ns}/files/{path}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.PathValue("path"))))
	})
	return mux
}

// keep writes a file as safely as the server does: the bytes are on disk, and
// so is the name.
func keep(dir, name string, r io.Reader) (int64, error) {
	tmp, err := os.CreateTemp(dir, "upload-*")
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(tmp, r)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return n, err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return n, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return n, err
	}
	return n, errors.Join(d.Sync(), d.Close())
}

// runBare is the bare server's process. It prints its address and ends with ctx.
func runBare(ctx context.Context, dir string) error { return serveAlone(ctx, bareHandler(dir)) }

// plainClient calls as one does without an SDK: net/http and encoding/json.
type plainClient struct {
	base, key string
	http      *http.Client
}

func newPlainClient(base string) *plainClient {
	return &plainClient{base: base, key: sampleSum, http: &http.Client{
		Timeout:   time.Minute, // as the SDK has one
		Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256},
	}}
}

// call sends in, if any, and decodes the answer into out.
func (c *plainClient) call(
	ctx context.Context, method string, query url.Values, in, out any, segments ...string,
) error {
	var body io.Reader
	if in != nil {
		pr, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = newReader(pr)
	}
	resp, err := c.send(ctx, method, query, body, in != nil, segments...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return err
}

func (c *plainClient) send(
	ctx context.Context, method string, query url.Values, body io.Reader, isJSON bool, segments ...string,
) (*http.Response, error) {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	address := c.base + "/v1/" + strings.Join(escaped, "/")
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if isJSON {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New("the bare server answered " + strconv.Itoa(resp.StatusCode))
	}
	return resp, nil
}
