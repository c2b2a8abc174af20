package bctrl

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// scope limits calls to what one runtime may do: the SDK refuses what the
// mounts do not permit, and the server is told to hold the call to them.
type scope struct {
	runtimeID string
	mounts    Mounts
	// narrowed is the BCTRL-Mounts header, empty for a handle as launched: then
	// the server's own knowledge of the runtime decides.
	narrowed string
}

func (s *scope) headers(h http.Header) {
	h["Bctrl-Runtime"] = []string{s.runtimeID}
	if s.narrowed != "" {
		h["Bctrl-Mounts"] = []string{s.narrowed}
	}
}

// lower returns the scope below s with these effective mounts.
func (s *scope) lower(effective Mounts) (*scope, error) {
	text, err := json.Marshal(effective)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, "mounts.invalid", "mounts", "the mounts cannot be encoded")
	}
	return &scope{runtimeID: s.runtimeID, mounts: effective, narrowed: base64.RawURLEncoding.EncodeToString(text)}, nil
}

// outside is the refusal of something the mounts do not permit, as the server
// answers it: the same whether or not the thing exists.
func outside(area, message, hint string) *Error {
	return refusal(http.StatusForbidden, area+".outside_mount", "", message).hinted(hint)
}
