package files

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// ErrDeadLink is the one answer to a link that is forged, has expired, whose
// file has changed, or whose signer may not sign it any more: it tells nobody
// which.
var ErrDeadLink = web.NotFound(
	"storage.dead_link", "the link is wrong, has expired or was revoked, or its file has changed",
)

// Link is what a signature covers, beside the method and the disposition,
// which are always the same.
type Link struct {
	// Signer is who made it: organizations, key or token, and runtime, by id.
	Signer access.Caller
	// Object is the id of one version of a file: a change gives it another.
	Object, Name string
	// Expires is kept to the millisecond.
	Expires time.Time
}

// A signature is in base64url: format (1 byte), expiry of the link and of the
// token that signed it (8 each, Unix milliseconds, the latter 0 for a key), then
// the ids (16 each, zero where there is none) of organization, its parent, key
// or token, runtime and object, HMAC-SHA256 (32).
const (
	linkKeyName = "download-links"
	linkFormat  = 2
	linkPayload = 1 + 2*8 + 5*16
)

// SignLink returns the signature of a link, which names in itself who signed it and
// what it is of. It decides and records nothing: the signer's right was decided
// before, and is decided about again whenever the link is used.
func (s *Service) SignLink(ctx context.Context, l Link) (string, error) {
	key, err := s.linkKey.Get(ctx)
	if err != nil {
		return "", err
	}
	by, runtime, until := l.Signer.KeyID, "", int64(0)
	if t := l.Signer.Token; t != nil {
		by, until = t.ID, t.Expires.UnixMilli()
	}
	if rt := l.Signer.Runtime; rt != nil {
		runtime = rt.ID
	}
	payload := binary.BigEndian.AppendUint64([]byte{linkFormat}, uint64(l.Expires.UnixMilli()))
	payload = binary.BigEndian.AppendUint64(payload, uint64(until))
	for _, text := range []string{l.Signer.Org, l.Signer.Parent, by, runtime, l.Object} {
		var id uuid.UUID
		if text != "" {
			if id, err = uuid.Parse(text); err != nil {
				return "", err
			}
		}
		payload = append(payload, id[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(append(payload, linkMAC(key, payload, l.Name)...)), nil
}

// ForgetLinkKey overwrites the key of links, which is opened anew when it is
// asked for.
func (s *Service) ForgetLinkKey() { s.linkKey.Forget() }

func linkMAC(key, payload []byte, name string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("bctrl link 2\x00GET\x00attachment\x00")) // fixed lengths up to the name
	mac.Write(payload)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// OpenLink returns what a signature covers, with the file's name as the link has it.
// A signature that is not this server's, of another name, or past its time is
// [ErrDeadLink]. Whether the signer may still sign it is for the caller to decide.
func (s *Service) OpenLink(ctx context.Context, signature, name string, now time.Time) (Link, error) {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	// The decoder passes over line ends and loose bits: one text is the link.
	if err != nil || len(raw) != linkPayload+sha256.Size || base64.RawURLEncoding.EncodeToString(raw) != signature {
		return Link{}, ErrDeadLink
	}
	key, err := s.linkKey.Get(ctx)
	if err != nil {
		return Link{}, err
	}
	payload := raw[:linkPayload]
	if !hmac.Equal(raw[linkPayload:], linkMAC(key, payload, name)) || payload[0] != linkFormat {
		return Link{}, ErrDeadLink
	}
	l := Link{Name: name, Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(payload[1:9])))}
	if !now.Before(l.Expires) {
		return Link{}, ErrDeadLink
	}
	var by, runtime string
	for i, into := range []*string{&l.Signer.Org, &l.Signer.Parent, &by, &runtime, &l.Object} {
		if id := uuid.UUID(payload[17+16*i : 33+16*i]); id != uuid.Nil {
			*into = id.String()
		}
	}
	if runtime != "" {
		l.Signer.Runtime = &access.Runtime{ID: runtime}
	}
	if until := int64(binary.BigEndian.Uint64(payload[9:17])); until == 0 {
		l.Signer.KeyID = by
	} else {
		l.Signer.Token = &access.Token{ID: by, Expires: time.UnixMilli(until)}
	}
	return l, nil
}
