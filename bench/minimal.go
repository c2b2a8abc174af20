package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/totp"
)

// serveMinimal in the environment makes this program the minimal server; it names the
// directory for its log.
const serveMinimal = "BCTRL_BENCH_MINIMAL"

// minimal does the least that a server of secrets can do which records each use before it
// happens: it has one key, keeps logins sealed in memory, and appends a line for each use, and the
// sealed login itself for each set, to one log. It has no mounts, limits, tenants, keys of its
// own for each record, answers that are given again, nor a way to start again or to find a line.
type minimal struct {
	log     *groupLog
	keyHash [sha256.Size]byte
	sealer  cipher.AEAD
	// version is of the whole store: of two sets of a login the later one counts.
	version atomic.Int64
	mu      sync.RWMutex
	logins  map[string]sealedLogin
}

type sealedLogin struct {
	version int64
	sealed  []byte // nonce, then a login as JSON
	created time.Time
}

// minimalRecord is about as long as an event of ours.
type minimalRecord struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Caller    string    `json:"caller"`
	Action    string    `json:"action"`
	Object    string    `json:"object"`
	Version   int64     `json:"version"`
	Decision  string    `json:"decision"`
	RequestID string    `json:"requestId"`
	Sealed    []byte    `json:"sealed,omitempty"`
}

var errNoLogin = errors.New("there is no such login")

func newMinimal(dir, key string) (*minimal, error) {
	sealKey := make([]byte, 32)
	rand.Read(sealKey)
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	log, err := openGroupLog(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	return &minimal{
		log:     log,
		keyHash: sha256.Sum256([]byte(key)),
		sealer:  sealer,
		logins:  map[string]sealedLogin{},
	}, nil
}

// runMinimal is the minimal server's process. It prints its key and its address and ends with
// ctx.
func runMinimal(ctx context.Context, dir string) error {
	key := rand.Text()
	m, err := newMinimal(dir, key)
	if err != nil {
		return err
	}
	fmt.Println("export BCTRL_API_KEY=" + key)
	return serveAlone(ctx, m.handler())
}

func (m *minimal) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/vault/{key}", m.answer(m.set))
	mux.HandleFunc("GET /v1/vault/{key}", m.answer(m.get))
	mux.HandleFunc("GET /v1/vault/{key}/totp", m.answer(m.code))
	return mux
}

// answer lets the key's holder have what do returns, as JSON.
func (m *minimal) answer(do func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		hash := sha256.Sum256([]byte(key))
		if subtle.ConstantTimeCompare(hash[:], m.keyHash[:]) != 1 {
			http.Error(w, "the key is not the server's", http.StatusUnauthorized)
			return
		}
		out, err := do(r)
		switch {
		case errors.Is(err, errNoLogin):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(out) // the client is gone; there is nobody to tell
		}
	}
}

func (m *minimal) set(r *http.Request) (any, error) {
	var in login
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(in) //nolint:gosec // a password, which is sealed next
	if err != nil {
		return nil, err
	}
	key := r.PathValue("key")
	now := time.Now().UTC()
	l := sealedLogin{
		version: m.version.Add(1),
		sealed:  m.sealer.Seal(nil, nil, plain, []byte(key)), //nolint:gosec // it makes the nonce itself
		created: now,
	}
	if err := m.record("vault.write", key, l.version, l.sealed); err != nil {
		return nil, err
	}
	l = m.keep(key, l)
	return entry{
		Key:       key,
		Username:  in.Username,
		HasTOTP:   in.TOTP != "",
		Origins:   in.Origins,
		Fill:      in.Fill,
		Version:   l.version,
		CreatedAt: l.created,
		UpdatedAt: now,
	}, nil
}

// keep has a login that is durable used from now on, unless a later one is.
func (m *minimal) keep(key string, l sealedLogin) sealedLogin {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.logins[key]
	if known {
		l.created = before.created
	}
	if l.version > before.version {
		m.logins[key] = l
	}
	return l
}

func (m *minimal) get(r *http.Request) (any, error) {
	return m.open("vault.readRaw", r.PathValue("key"))
}

func (m *minimal) code(r *http.Request) (any, error) {
	l, err := m.open("vault.use", r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	seed, err := totp.Parse(bctrl.NewSecret(l.TOTP))
	if err != nil {
		return nil, err
	}
	code, expires := seed.Code(time.Now())
	return struct {
		Code      string    `json:"code"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{code.Expose(), expires.UTC()}, nil
}

// open returns a login once its use is on record.
func (m *minimal) open(action, key string) (out login, err error) {
	m.mu.RLock()
	l, ok := m.logins[key]
	m.mu.RUnlock()
	if !ok {
		return out, errNoLogin
	}
	if err := m.record(action, key, l.version, nil); err != nil {
		return out, err
	}
	plain, err := m.sealer.Open(nil, nil, l.sealed, []byte(key))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(plain, &out)
}

func (m *minimal) record(action, object string, version int64, sealed []byte) error {
	line, err := json.Marshal(minimalRecord{
		ID:        rand.Text(),
		Time:      time.Now().UTC(),
		Caller:    "key:" + sampleID,
		Action:    action,
		Object:    object,
		Version:   version,
		Decision:  "allow",
		RequestID: rand.Text(),
		Sealed:    sealed,
	})
	if err != nil {
		return err
	}
	return m.log.append(line)
}
