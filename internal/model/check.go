package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

// checkTimeout bounds a check as a whole.
const checkTimeout = 15 * time.Second

// Checked is what a [Check] found: what its caller is told, and for the audit
// log the code of what failed, empty when nothing did, and the HTTP status of
// the provider's last answer, 0 when it gave none.
type Checked struct {
	bctrl.AICredentialTest
	Code   string
	Status int
}

// Check asks the provider for its models, and for cfg.Model when it is set,
// without repeating anything. It says in words what failed, never the key or
// what the provider wrote.
func Check(ctx context.Context, b *broker.Broker, cfg Config) Checked {
	begun := time.Now()
	seen := &lastStatus{}
	message, err := check(ctx, b, cfg, seen)
	found := Checked{Status: seen.status, AICredentialTest: bctrl.AICredentialTest{
		OK:        err == nil,
		Provider:  cfg.Provider,
		Message:   message,
		Latency:   time.Since(begun),
		CheckedAt: begun,
	}}
	known, failed := errors.AsType[*bctrl.Error](err)
	switch {
	case failed:
		found.Message, found.Code = known.Message, known.Code
	case err != nil:
		found.Message, found.Code = "the check was cancelled before the provider answered", "model.cancelled"
	}
	return found
}

// lastStatus remembers the status of the last answer.
type lastStatus struct {
	Sender
	status int
}

func (l *lastStatus) Do(req *http.Request) (*http.Response, error) {
	resp, err := l.Sender.Do(req)
	if err == nil {
		l.status = resp.StatusCode
	}
	return resp, err
}

func check(ctx context.Context, b *broker.Broker, cfg Config, seen *lastStatus) (message string, err error) {
	wanted := cfg.Model
	once := 0
	cfg.MaxRetries, cfg.Timeout = &once, checkTimeout
	w, _, err := open(b, cfg)
	if err != nil {
		return "", err
	}
	seen.Sender, w.client = w.client, seen
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errAttempt)
	defer cancel()
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := w.get(ctx, w.base.JoinPath("models"), &list); err != nil {
		return "", err
	}
	if list.Data == nil {
		return "", badAnswer("it is not a list of models")
	}
	message = fmt.Sprintf("the provider accepts the key and offers %d models", len(list.Data))
	if wanted == "" {
		return message, nil
	}
	for _, m := range list.Data {
		if strings.TrimPrefix(m.ID, "models/") == strings.TrimPrefix(wanted, "models/") { // Google's prefix
			return message, nil
		}
	}
	// A list has pages, and leaves out aliases.
	var one struct {
		ID string `json:"id"`
	}
	err = w.get(ctx, w.base.JoinPath("models", url.PathEscape(wanted)), &one)
	if known, ok := errors.AsType[*bctrl.Error](err); ok && known.Code == "model.not_found" {
		known.Message = "the provider accepts the key but does not know the default model"
		return "", known
	}
	return message, err
}

// get decodes the answer to a GET into out.
func (w *wire) get(ctx context.Context, u *url.URL, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return configError("the base URL cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := w.Do(req)
	if err != nil {
		if context.Cause(ctx) == errAttempt {
			return &bctrl.Error{
				Status:  http.StatusGatewayTimeout,
				Code:    "model.timeout",
				Message: "the provider did not answer in time",
			}
		}
		return forCaller(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return badAnswer("it is not JSON of the expected form")
	}
	return nil
}
