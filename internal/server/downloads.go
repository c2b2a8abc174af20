package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// How long a signed link may live.
const (
	defaultLinkTTL = 15 * time.Minute
	minLinkTTL     = time.Second
	maxLinkTTL     = 7 * 24 * time.Hour
)

func downloadRoutes() []route {
	const link = "/v1/downloads/{signature}/{name}"
	return []route{
		raw("GET "+link, access.Public, (*Server).download),
		raw("HEAD "+link, access.Public, (*Server).download),
	}
}

// errDeadLink is the one answer to a link that is forged, has expired, or
// whose file has changed: it tells nobody which.
var errDeadLink = notFound("storage.dead_link", "the link is wrong or has expired, or its file has changed")

// signLink answers with an address that needs no other credential. Who made
// one is recorded.
func (s *Server) signLink(ctx context.Context, rq *request, o store.Object) (wire.SignedURL, error) {
	ttl, err := rq.millis("ttlMs", defaultLinkTTL, minLinkTTL, maxLinkTTL)
	if err != nil {
		return wire.SignedURL{}, err
	}
	if t := rq.caller.Token; t != nil {
		ttl = min(ttl, time.Until(t.Expires)) // what a token made does not outlive it
	}
	signature, err := s.signature(ctx, link{org: rq.caller.Org, object: o.ID, name: o.Filename, expires: time.Now().Add(ttl)})
	if err != nil {
		return wire.SignedURL{}, err
	}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if err := s.grantedIn(ctx, tx.Queries, rq); err != nil {
			return err
		}
		ev := rq.event()
		ev.UID, ev.Outcome = o.ID, audit.OK
		return audit.Append(tx, ev)
	})
	if err != nil {
		return wire.SignedURL{}, err
	}
	rq.recorded = true
	address := s.publicURL(rq).JoinPath("v1", "downloads", signature, url.PathEscape(o.Filename))
	return wire.SignedURL{URL: wire.NewValue(address.String()), ExpiresIn: max(1, int64(ttl/time.Second))}, nil
}

func (s *Server) download(w http.ResponseWriter, rq *request) error {
	l, err := s.verify(rq.Context(), rq.PathValue("signature"), rq.PathValue("name"), time.Now())
	if err != nil {
		return err
	}
	o, content, err := s.openObject(rq.Context(), func(ctx context.Context) (store.Object, error) {
		return s.db.Read().ObjectByID(ctx, l.org, l.object)
	})
	if e := (*bctrl.Error)(nil); errors.As(err, &e) && e.Status == http.StatusNotFound {
		return errDeadLink
	}
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("Cache-Control", "private, no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	return serveContent(w, rq.Request, o, content)
}

// link is what a signature covers, beside the method and the disposition,
// which are always the same.
type link struct {
	org string
	// object is the id of one version of a file: a change gives it another.
	object, name string
	expires      time.Time
}

// A signature is in base64url: format (1 byte), expiry (8, Unix
// milliseconds), organization (16), object (16), HMAC-SHA256 (32).
const (
	linkKeyName = "download-links"
	linkFormat  = 1
	linkPayload = 1 + 8 + 16 + 16
)

func (s *Server) signature(ctx context.Context, l link) (string, error) {
	org, err := uuid.Parse(l.org)
	if err != nil {
		return "", err
	}
	object, err := uuid.Parse(l.object)
	if err != nil {
		return "", err
	}
	payload := binary.BigEndian.AppendUint64([]byte{linkFormat}, uint64(l.expires.UnixMilli()))
	payload = append(append(payload, org[:]...), object[:]...)
	key, err := s.linkKey.get(ctx, s, linkKeyName)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(payload, linkMAC(key, payload, l.name)...)), nil
}

func linkMAC(key, payload []byte, name string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("bctrl link 1\x00GET\x00attachment\x00")) // fixed lengths up to the name
	mac.Write(payload)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// verify opens a signature, or gives [errDeadLink].
func (s *Server) verify(ctx context.Context, signature, name string, now time.Time) (link, error) {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	// The decoder passes over line ends and loose bits: one text is the link.
	if err != nil || len(raw) != linkPayload+sha256.Size || base64.RawURLEncoding.EncodeToString(raw) != signature {
		return link{}, errDeadLink
	}
	key, err := s.linkKey.get(ctx, s, linkKeyName)
	if err != nil {
		return link{}, err
	}
	payload := raw[:linkPayload]
	if !hmac.Equal(raw[linkPayload:], linkMAC(key, payload, name)) || payload[0] != linkFormat {
		return link{}, errDeadLink
	}
	l := link{
		org: uuid.UUID(payload[9:25]).String(), object: uuid.UUID(payload[25:41]).String(), name: name,
		expires: time.UnixMilli(int64(binary.BigEndian.Uint64(payload[1:9]))),
	}
	if !now.Before(l.expires) {
		return link{}, errDeadLink
	}
	return l, nil
}
