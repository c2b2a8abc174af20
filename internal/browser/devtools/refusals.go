package devtools

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// recordRefusal has the refusal of a command recorded, and returns what the client is told.
// Of those of the rules, which a client can ask for without end, each code is recorded once
// for a connection.
func (f *filter) recordRefusal(ctx context.Context, err error) error {
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok {
		if refusal.Code != browser.CodePDFRefused { // files are recorded by whoever has them
			return err
		}
		return f.client.recordRefusal(ctx, refusal)
	}
	code, reason, found := strings.Cut(err.Error(), ": ")
	if !found || !strings.HasPrefix(code, "devtools.") {
		return err
	}
	f.mu.Lock()
	_, recorded := f.refused[code]
	f.refused[code] = struct{}{}
	f.mu.Unlock()
	if recorded {
		return err
	}
	refusal := &bctrl.Error{Status: http.StatusForbidden, Code: code, Message: reason}
	if failed := f.client.recordRefusal(ctx, refusal); !errors.Is(failed, refusal) {
		return failed
	}
	return err
}

func (c servedClient) recordRefusal(ctx context.Context, refusal *bctrl.Error) error {
	if c.rights == nil {
		return refusal
	}
	return c.rights.RecordRefusal(ctx, refusal)
}
