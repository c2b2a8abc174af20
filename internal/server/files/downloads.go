package files

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// How long a signed link may live.
const (
	defaultLinkTTL = 15 * time.Minute
	minLinkTTL     = time.Second
	maxLinkTTL     = 7 * 24 * time.Hour
)

func (s *Service) downloadRoutes() []web.Route {
	const link = "/v1/downloads/{signature}/{name}"
	return []web.Route{
		web.Raw("GET "+link, access.Public, s.download),
		web.Raw("HEAD "+link, access.Public, s.download),
	}
}

// answerLink answers with an address that needs no other credential. Who made
// one is recorded.
func (s *Service) answerLink(ctx context.Context, rq *web.Request, o store.Object) (wire.SignedURL, error) {
	ttl, err := rq.Millis("ttlMs", defaultLinkTTL, minLinkTTL, maxLinkTTL)
	if err != nil {
		return wire.SignedURL{}, err
	}
	if t := rq.Caller.Token; t != nil {
		ttl = min(ttl, time.Until(t.Expires)) // what a token made does not outlive it
	}
	signature, err := s.SignLink(ctx, Link{
		Signer:  rq.Caller,
		Object:  o.ID,
		Name:    o.Filename,
		Expires: time.Now().Add(ttl),
	})
	if err != nil {
		return wire.SignedURL{}, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.StillPermitted(ctx, tx.Queries, &rq.Granted); err != nil {
			return err
		}
		ev := rq.Event()
		ev.UID, ev.Outcome = o.ID, audit.OK
		return audit.Append(tx, ev)
	})
	if err != nil {
		return wire.SignedURL{}, err
	}
	rq.MarkRecorded()
	address := rq.PublicURL().JoinPath("v1", "downloads", signature, url.PathEscape(o.Filename))
	return wire.SignedURL{URL: wire.NewValue(address.String()), ExpiresIn: max(1, int64(ttl/time.Second))}, nil
}

// download gives the file of a link, for as long as who signed it might sign it
// now.
func (s *Service) download(w http.ResponseWriter, rq *web.Request) error {
	l, err := s.OpenLink(rq.Context(), rq.PathValue("signature"), rq.PathValue("name"), time.Now())
	if err != nil {
		return err
	}
	find := func(ctx context.Context) (store.Object, error) {
		return s.DB.Read().ObjectByID(ctx, l.Signer.Org, l.Object)
	}
	o, err := find(rq.Context())
	if err == nil && l.Signer.Runtime != nil {
		l.Signer.Runtime, err = web.LiveRuntime(rq.Context(), s.DB.Read(), l.Signer.Org, l.Signer.Runtime.ID)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, web.ErrNotActive) {
		return ErrDeadLink
	}
	if err != nil {
		return err
	}
	// What was declared below the runtime, by a token or a handle, permitted the
	// link when it was made and cannot change: each level decides for itself.
	signing := access.Action{Verb: bctrl.SignStorage, Object: o.Namespace}
	signed := &web.Grant{Caller: l.Signer, Actions: []access.Action{signing}}
	begun := false
	err = s.WhileGranted(rq.Context(), signed, func(ctx context.Context) error {
		begun = true
		rq.Request = rq.WithContext(ctx)
		return s.sendLinked(w, rq, find)
	})
	if _, refused := errors.AsType[*bctrl.Error](err); refused && !begun {
		return ErrDeadLink // whatever has become of who signed it
	}
	return err
}

func (s *Service) sendLinked(
	w http.ResponseWriter, rq *web.Request, find func(context.Context) (store.Object, error),
) error {
	w.Header().Set("Cache-Control", noStore)
	w.Header().Set("Referrer-Policy", "no-referrer")
	if s.direct != nil && rq.Method == http.MethodGet {
		return s.sendOn(w, rq, find)
	}
	o, content, err := s.openObject(rq.Context(), find)
	if e, refused := errors.AsType[*bctrl.Error](err); refused && e.Status == http.StatusNotFound {
		return ErrDeadLink
	}
	if err != nil {
		return err
	}
	defer content.Close()
	return s.serveContent(w, rq.Request, o, content)
}

// noStore is the Cache-Control of what a link gives.
const noStore = "private, no-store"

// directTTL is how long after a link was used the store may be asked for the bytes: the
// moment in which a client follows. All that can end a link has been asked before it.
const directTTL = time.Minute

// sendOn answers with where the store itself gives the file, for a minute.
func (s *Service) sendOn(
	w http.ResponseWriter, rq *web.Request, find func(context.Context) (store.Object, error),
) error {
	o, err := find(rq.Context())
	if errors.Is(err, store.ErrNotFound) {
		return ErrDeadLink
	}
	if err != nil {
		return err
	}
	as := blob.Described{ContentType: o.ContentType, ContentDisposition: attachment(o.Filename), CacheControl: noStore}
	address, err := s.direct.Link(rq.Context(), o.BlobID, as, directTTL)
	if err != nil {
		return s.storeFault(err)
	}
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}
