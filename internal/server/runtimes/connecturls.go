package runtimes

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// connectFor is how long a connect URL is good from when it was last asked for or
// used, so that those which nobody uses are forgotten. A URL that is used ends with
// its runtime, or with the key or token that asked for it, or where it is revoked.
const connectFor = 30 * 24 * time.Hour

// maxConnectURLs bounds those of one runtime: each narrower handle has its own.
const maxConnectURLs = 1000

// errTooManyConnectURLs is the refusal of one more.
var errTooManyConnectURLs = web.WithHint(
	web.Conflict("runtimes.too_many_connect_urls", "the runtime has too many connect URLs"),
	"revoke those that nobody uses, or ask by a handle that has one")

// connectURLs are all that open a browser. They are in memory alone: the browsers die
// with the process too. A caller has one for a runtime and for what bounds it there, as
// long as all of that lasts, and is given the same one however often it asks: clients
// come back to an address after hours.
type connectURLs struct {
	mu  sync.Mutex
	key []byte // tokens are made with it; drawn when the first is
	// mark begins each token; nil is nothing.
	mark func() string
	// Each of them, by its owner and by the hash of its token.
	byOwner map[string]*connectURL
	byHash  map[[sha256.Size]byte]*connectURL
}

// connectURL is what a connect URL opens, and for whom. What changes is guarded by the
// lock of all.
type connectURL struct {
	id, workspace, group, runtime string
	owner                         string
	mark                          string // of its token
	hash                          [sha256.Size]byte
	// caller is who it was made for, and with whom it ends.
	caller access.Caller
	// life ends, by end, when it is revoked or forgotten: its connections end with it.
	life context.Context
	end  context.CancelFunc

	// runtimeEnds is when its launch has the runtime end at the latest, or zero.
	runtimeEnds            time.Time
	created, used, expires time.Time
	connections            int
}

// ownerOf names who a connect URL is made for: a caller as it is held, so that whoever was
// given a weaker token, or narrowed a handle, has another.
func ownerOf(runtime string, c access.Caller) (string, error) {
	who := []string{runtime, c.Org, c.Parent, c.KeyID}
	if c.Token != nil {
		who = append(who, c.Token.ID, c.Token.Expires.UTC().Format(time.RFC3339Nano))
	}
	if c.Runtime != nil {
		levels, err := json.Marshal(c.Runtime.Chain[2:])
		if err != nil {
			return "", err
		}
		who = append(who, string(levels))
	}
	return string(tuple.New(256).Text(who...)), nil
}

// renew puts off the end of a URL that is asked for or used now: it is good for
// connectFor, and not longer than the token of its caller or its runtime.
func (u *connectURL) renew(now time.Time) {
	u.expires = now.Add(connectFor)
	if of := u.caller.Token; of != nil && of.Expires.Before(u.expires) {
		u.expires = of.Expires
	}
	if !u.runtimeEnds.IsZero() && u.runtimeEnds.Before(u.expires) {
		u.expires = u.runtimeEnds
	}
}

// isOver reports whether the URL opens nothing any more. One that is in use goes on.
func (u *connectURL) isOver(now time.Time) bool {
	if of := u.caller.Token; of != nil && !of.Expires.After(now) {
		return true
	}
	return u.connections == 0 && !u.expires.After(now)
}

// describe is what a caller is shown of the URL.
func (u *connectURL) describe() bctrl.ConnectURLInfo {
	info := bctrl.ConnectURLInfo{
		ID:          u.id,
		RuntimeID:   u.runtime,
		KeyID:       u.caller.KeyID,
		CreatedAt:   u.created.UTC(),
		ExpiresAt:   u.expires.UTC(),
		Connections: u.connections,
	}
	if u.caller.Token != nil {
		info.TokenID = u.caller.Token.ID
	}
	if !u.used.IsZero() {
		used := u.used.UTC()
		info.LastUsedAt = &used
	}
	return info
}

// connected is the audit event of a connection that the URL opens.
func (u *connectURL) connected(rq *web.Request) audit.Event {
	return audit.Event{
		Org:       u.caller.Org,
		Parent:    u.caller.Parent,
		Caller:    u.caller.Name(),
		Action:    "runtime.connected",
		Object:    u.id,
		Workspace: u.workspace,
		Group:     u.group,
		Runtime:   u.runtime,
		Decision:  audit.Allowed,
		RequestID: rq.ID,
		TraceID:   rq.TraceID,
	}
}

// issue gives a caller its connect URL for a runtime, which ends at a time or, where that
// is zero, whenever somebody ends it, and the token in it. It forgets those that nobody
// used for long.
func (t *connectURLs) issue(
	rt store.Runtime, ends time.Time, c access.Caller, now time.Time,
) (info bctrl.ConnectURLInfo, token string, err error) {
	owner, err := ownerOf(rt.ID, c)
	if err != nil {
		return info, "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byOwner == nil {
		t.byOwner, t.byHash = map[string]*connectURL{}, map[[sha256.Size]byte]*connectURL{}
		t.key = make([]byte, sha256.Size)
		_, _ = rand.Read(t.key) // never fails, by its contract
	}
	t.drop(func(u *connectURL) bool { return u.isOver(now) })
	u := t.byOwner[owner]
	if u == nil {
		of := 0
		for _, other := range t.byOwner {
			if other.runtime == rt.ID {
				of++
			}
		}
		if of >= maxConnectURLs {
			return info, "", errTooManyConnectURLs
		}
		u = &connectURL{
			id:        web.NewID(),
			workspace: rt.WorkspaceID,
			group:     rt.Group,
			runtime:   rt.ID,
			owner:     owner,
			caller:    c,
			created:   now,

			runtimeEnds: ends,
		}
		if t.mark != nil {
			u.mark = t.mark()
		}
		u.life, u.end = context.WithCancel(context.Background())
		u.hash = sha256.Sum256([]byte(t.tokenOf(u)))
		t.byOwner[owner], t.byHash[u.hash] = u, u
	}
	u.renew(now)
	return u.describe(), t.tokenOf(u), nil
}

// tokenOf is the token in a URL: it can be made again, and is kept nowhere.
func (t *connectURLs) tokenOf(u *connectURL) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write(tuple.New(64).Text(u.id))
	return u.mark + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// open returns the URL with a token, and counts a connection until [connectURLs.leave].
func (t *connectURLs) open(token string, now time.Time) (*connectURL, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.byHash[sha256.Sum256([]byte(token))]
	if u == nil || u.isOver(now) {
		return nil, false
	}
	u.connections++
	u.used = now
	u.renew(now)
	return u, true
}

// leave counts a connection no more.
func (t *connectURLs) leave(u *connectURL, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.connections--
	u.used = now
	u.renew(now)
}

// list describes the URLs of a runtime that a caller may know of, oldest first.
func (t *connectURLs) list(runtime string, c access.Caller, now time.Time) []bctrl.ConnectURLInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	infos := []bctrl.ConnectURLInfo{}
	for _, u := range t.byOwner {
		if u.runtime == runtime && u.isOf(c) && !u.isOver(now) {
			infos = append(infos, u.describe())
		}
	}
	slices.SortFunc(infos, func(a, b bctrl.ConnectURLInfo) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return infos
}

// isOf reports whether a caller may know of a URL and end it: an organization key may
// of all, the holder of a token of those that were asked for with it.
func (u *connectURL) isOf(c access.Caller) bool { return mayKnowOf(u.caller, c) }

// mayKnowOf is [connectURL.isOf] of what a caller has asked for.
func mayKnowOf(asker, c access.Caller) bool {
	if c.Token == nil {
		return true
	}
	return asker.Token != nil && asker.Token.ID == c.Token.ID
}

// revoke ends a URL of a runtime, and its connections.
func (t *connectURLs) revoke(
	runtime, id string, c access.Caller, now time.Time,
) (info bctrl.ConnectURLInfo, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(func(u *connectURL) bool {
		is := u.runtime == runtime && u.id == id && u.isOf(c) && !u.isOver(now)
		if is {
			info, found = u.describe(), true
		}
		return is
	})
	return info, found
}

// forget ends the URLs of a runtime that has ended.
func (t *connectURLs) forget(runtime string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(func(u *connectURL) bool { return u.runtime == runtime })
}

// drop ends URLs. Call it with mu held.
func (t *connectURLs) drop(which func(*connectURL) bool) {
	maps.DeleteFunc(t.byOwner, func(_ string, u *connectURL) bool {
		if !which(u) {
			return false
		}
		delete(t.byHash, u.hash)
		u.end()
		return true
	})
}
