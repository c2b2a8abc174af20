package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// answersKeptFor is how long the first answer to an idempotency key is replayed.
const answersKeptFor = 24 * time.Hour

// idempotencyKey is the key of a request and what tells the request from another
// with the same key.
type idempotencyKey struct {
	store.AnswerKey
	fingerprint []byte
	// content is a hash of a body that is streamed, which the fingerprint lacks.
	content []byte
}

// AnswerKey is what the answer to a request is kept by, for another node that keeps it: see
// [Kernel.KeepAnswerOf]. Like a [Request.Fingerprint] it is for nodes alone, and is never stored.
type AnswerKey struct {
	Own string
	// Order is for a server that has its database to itself: nodes share one on PostgreSQL.
	Order       string `json:"-"`
	Fingerprint []byte
	Content     []byte `json:"-"` // what is streamed is not passed on
	Permitted   []access.Action
}

// AnswerKey is the request's, nil where its answer is not to be kept.
func (rq *Request) AnswerKey() *AnswerKey {
	if rq.idempotent == nil {
		return nil
	}
	return new(rq.answerKey(rq.idempotent))
}

func (rq *Request) answerKey(id *idempotencyKey) AnswerKey {
	return AnswerKey{id.Own, id.Order, id.fingerprint, id.content, rq.Granted.actionsSoFar()}
}

// KeepAnswerOf keeps in tx the answer to a request of an organization that another node answers.
func (k *Kernel) KeepAnswerOf(ctx context.Context, tx *store.Tx, org string, key AnswerKey, out any) error {
	body, err := EncodeAnswer(out)
	if err != nil {
		return err
	}
	return k.keepAnswer(ctx, tx, org, key, http.StatusOK, body)
}

// ownKey is an idempotency key of one caller, as it is stored. Nobody else's
// request with the same text meets it, or learns from an answer that it was
// used. A caller is an organization key, also where it acts for a subaccount; a
// runtime token as it is held, so that whoever was given an attenuation is
// another; and an organization key that acts as a runtime, as narrow as it says.
func ownKey(c access.Caller, key string) (string, error) {
	owner := struct {
		Org, KeyID, Token, Runtime string
		Expires                    int64
		Levels                     []bctrl.Mounts
		Key                        string
	}{Org: c.Org, KeyID: c.KeyID, Key: key}
	if c.Token != nil {
		owner.Token, owner.Expires = c.Token.ID, c.Token.Expires.UnixMilli()
	}
	if c.Runtime != nil {
		owner.Runtime, owner.Levels = c.Runtime.ID, c.Runtime.Chain[2:]
	}
	text, err := json.Marshal(owner)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// orderOf is the time in a key that is a version 7 UUID (RFC 9562 §5.7), as those are that the SDK makes. Keys
// of others have no order.
func orderOf(key string) string {
	const length = len("xxxxxxxx-xxxx-7xxx-xxxx-xxxxxxxxxxxx") // other forms have other places for the time
	if len(key) != length {
		return ""
	}
	if id, err := uuid.Parse(key); err != nil || id.Version() != 7 {
		return ""
	}
	return strings.ToLower(key[:8] + key[9:13])
}

// firstAnswer is a first answer that is given once more.
type firstAnswer struct {
	status int
	body   []byte
	// content is a hash of the body that was streamed; nil where none was.
	content []byte
}

// checkContent refuses a request whose body, which is streamed, is another than the one that was
// answered so.
func (a *firstAnswer) checkContent(w http.ResponseWriter, rq *Request) error {
	if a.content == nil {
		return nil
	}
	content, err := rq.Route.content(w, rq)
	if err == nil && subtle.ConstantTimeCompare(content, a.content) != 1 {
		err = errOtherRequest()
	}
	return err
}

func errOtherRequest() error {
	return Unprocessable("request.idempotency_mismatch", "this Idempotency-Key was used for another request")
}

// inFlight are the names that are held on this node, for whom [store.DB.Hold] holds them
// before the other nodes.
type inFlight struct {
	mu    sync.Mutex
	names map[string]struct{}
}

// take reports whether nobody else has a name, and then takes it until it is released.
func (f *inFlight) take(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.names[name]; taken {
		return false
	}
	if f.names == nil {
		f.names = map[string]struct{}{}
	}
	f.names[name] = struct{}{}
	return true
}

func (f *inFlight) release(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.names, name)
}

// Hold takes a name until release, where nobody has it, here or on another node that
// lives, and reports whether it did. After a crash nobody has any.
func (k *Kernel) Hold(ctx context.Context, name string) (release func(), held bool, err error) {
	if !k.inFlight.take(name) {
		return nil, false, nil
	}
	has, held, err := k.DB.Hold(ctx, name)
	if err != nil || !held {
		k.inFlight.release(name)
		return nil, false, err
	}
	return func() {
		k.DB.Release(context.WithoutCancel(ctx), has) // before this node may have it again
		k.inFlight.release(name)
	}, true, nil
}

// nameOfKey is what is held while a request with an idempotency key of an organization runs.
func nameOfKey(org, key string) string { return "answer/" + org + "/" + key }

// KeyFromNode is the idempotency key of a request that came to another node, to be held by this one
// in its place while it answers. It is nobody's until [KeyFromNode.TakeIn].
type KeyFromNode struct {
	kernel *Kernel
	name   string
	held   store.Held
}

// TakeOverKey begins to hold a request's key in place of another node. It reports false where a request
// with the same key has just come in here: that is about to be refused, since the other node has the key.
func (k *Kernel) TakeOverKey(org string, key AnswerKey) (*KeyFromNode, bool) {
	name := nameOfKey(org, key.Own)
	if !k.inFlight.take(name) {
		return nil, false
	}
	return &KeyFromNode{kernel: k, name: name}, true
}

// TakeIn takes the key from a node in a transaction, which may be run again.
func (key *KeyFromNode) TakeIn(ctx context.Context, tx *store.Tx, node string) (err error) {
	key.held, err = tx.TakeHold(ctx, key.name, node)
	return err
}

// Release lets others have the key. It is called once.
func (key *KeyFromNode) Release(ctx context.Context) {
	key.kernel.DB.Release(ctx, key.held) // before this node may have it again
	key.kernel.inFlight.release(key.name)
}

// takeKey has no other request with the key run, on any node, until this one leaves.
func (k *Kernel) takeKey(ctx context.Context, rq *Request, org, key string) error {
	release, held, err := k.Hold(ctx, nameOfKey(org, key))
	if err != nil {
		return err
	}
	if !held {
		return Conflict(wire.CodeInProgress, "a request with this Idempotency-Key still runs")
	}
	rq.onLeave(release)
	return nil
}

// takeIdempotencyKey has the request own its idempotency key until it leaves, where it has one.
func (k *Kernel) takeIdempotencyKey(ctx context.Context, rq *Request) error {
	keys := rq.Header.Values(wire.HeaderIdempotencyKey)
	if len(keys) == 0 || rq.Method == http.MethodGet || rq.Method == http.MethodHead {
		return nil
	}
	if len(keys) > 1 || len(keys[0]) < 1 || len(keys[0]) > 200 {
		return Invalid("request.idempotency_key", wire.HeaderIdempotencyKey,
			"Idempotency-Key must be given once, with 1 to 200 characters")
	}
	own, err := ownKey(rq.Caller, keys[0])
	if err != nil {
		return err
	}
	id := &idempotencyKey{AnswerKey: store.AnswerKey{Own: own, Order: orderOf(keys[0])}}
	if id.fingerprint, err = rq.Fingerprint(); err != nil {
		return err
	}
	if err := k.takeKey(ctx, rq, rq.Caller.Org, own); err != nil {
		return err
	}
	rq.idempotent = id
	return nil
}

// serveOnce serves a request, or where it has been answered before gives its first answer once more.
func (k *Kernel) serveOnce(w http.ResponseWriter, rq *Request) error {
	id := rq.idempotent
	if id == nil {
		return rq.Route.serve(w, rq)
	}
	before, err := k.looksBefore(rq.Context(), rq, id)
	if err != nil {
		return err
	}
	if before {
		first, err := k.findFirstAnswer(rq.Context(), rq, id)
		if first != nil && err == nil {
			err = first.checkContent(w, rq)
		}
		if first != nil || err != nil {
			return k.giveFirstAnswer(w, rq, first, err)
		}
		if !rq.Route.atomic {
			return rq.Route.serve(w, rq)
		}
	}
	refused := rq.Route.serve(w, rq)
	if refused == nil || EndedBecause(rq.Context()) != nil {
		return refused
	}
	first, err := k.findFirstAnswer(rq.Context(), rq, id)
	if first == nil && err == nil {
		return refused
	}
	return k.giveFirstAnswer(w, rq, first, err)
}

// looksBefore reports whether the first answer to a request's key is looked for before it is served. A route
// that is atomic finds it when it keeps another, unless it may be stored otherwise.
func (k *Kernel) looksBefore(ctx context.Context, rq *Request, id *idempotencyKey) (bool, error) {
	if !rq.Route.atomic || id.Order == "" {
		return !rq.Route.atomic, nil
	}
	org := rq.Caller.Org
	if until, known := k.keptOtherwise.Load(org); known && (until == time.Time{} || time.Now().Before(until.(time.Time))) {
		return until != time.Time{}, nil
	}
	may, err := k.DB.Read().HasAnswersOtherwise(ctx, org)
	if err != nil {
		return false, err
	}
	until := time.Time{}
	if may {
		until = time.Now().Add(askOtherwiseAgain)
	}
	k.keptOtherwise.Store(org, until)
	return may, nil
}

// askOtherwiseAgain is how long an organization is taken to have answers that are stored otherwise: they are
// kept for a day.
const askOtherwiseAgain = time.Hour

// findFirstAnswer finds the first answer to the request's idempotency key, nil where there is
// none, and asks whether its caller may still see it.
func (k *Kernel) findFirstAnswer(ctx context.Context, rq *Request, id *idempotencyKey) (*firstAnswer, error) {
	org := rq.Caller.Org
	a, err := k.DB.Read().Answer(ctx, org, id.AnswerKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var answered keptAnswer
	plain, err := k.Keys.Open(answerRecord(org, id.Own, a.Status), a.Sealed)
	if err != nil {
		return nil, Unopened(err, "request.tampered")
	}
	if json.Unmarshal(plain, &answered) != nil {
		return nil, Tampered("request.tampered")
	}
	if subtle.ConstantTimeCompare(answered.Fingerprint, id.fingerprint) != 1 {
		return nil, errOtherRequest()
	}
	for _, permitted := range answered.Permitted { // then, and now?
		if err := rq.authorizeAs(permitted.Verb, permitted.Object); err != nil {
			return nil, err
		}
	}
	return &firstAnswer{a.Status, answered.Body, answered.Content}, nil
}

// keptAnswer is a first answer as it is sealed.
type keptAnswer struct {
	Fingerprint []byte
	Content     []byte `json:",omitempty"`
	// Permitted is what a runtime caller was permitted for it.
	Permitted []access.Action
	Body      []byte
}

// onLeave has fn called when the request leaves.
func (rq *Request) onLeave(fn func()) { rq.leaving = append(rq.leaving, fn) }

// leave is called once a request has its answer, whichever it is.
func (rq *Request) leave() {
	for _, fn := range rq.leaving {
		fn()
	}
}

// Fingerprint is a hash of what the request asks for, by which it is told from
// another with its idempotency key. The bytes of a stream are not part of it, see
// [Request.KeepContent]; its conditions and its declared length are. It reads a JSON
// body, and fails as [Request.ReadBody] does. Whoever has it can try guesses at what
// was sent, so it is stored sealed only.
func (rq *Request) Fingerprint() ([]byte, error) {
	length, isText := rq.ContentLength, rq.Route.content == nil && IsJSON(rq.Header.Get("Content-Type"))
	if isText {
		body, err := rq.ReadBody()
		if err != nil {
			return nil, err
		}
		rq.read, length = body, int64(len(body)) // the same whether it was declared or came in chunks
	}
	h := sha256.New()
	for _, part := range []string{
		rq.Method, rq.URL.EscapedPath(), rq.URL.RawQuery,
		rq.Header.Get("If-Match"), rq.Header.Get("If-None-Match"), rq.contentType(),
		rq.Header.Get("Repr-Digest"), rq.Header.Get("Content-Digest"), strconv.FormatInt(length, 10),
	} {
		_, _ = io.WriteString(h, part) // a hash does not fail
		h.Write([]byte{0})
	}
	if isText {
		h.Write(rq.read) // whose length was written
	}
	// Last, so that an answer which was kept before they were written is found as ever.
	for _, name := range []string{"If-Match", "If-None-Match", "Repr-Digest", "Content-Digest"} {
		lines := rq.Header.Values(name)
		if len(lines) == 0 || len(lines) == 1 && lines[0] != "" {
			continue // written above
		}
		for _, part := range append([]string{name, strconv.Itoa(len(lines))}, lines...) {
			_, _ = io.WriteString(h, part)
			h.Write([]byte{0})
		}
	}
	return h.Sum(nil), nil
}

// contentType is what the body is, without the boundary of a form, which each
// attempt may choose anew.
func (rq *Request) contentType() string {
	text := rq.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(text); err == nil && strings.HasPrefix(mediaType, "multipart/") {
		return mediaType
	}
	return text
}

// HasIdempotencyKey reports whether something is kept of how the request goes.
func (rq *Request) HasIdempotencyKey() bool { return rq.idempotent != nil }

// KeepAnswer encodes what the request is answered with once tx is durable, and
// where the request has an idempotency key keeps it for that in tx.
func (rq *Request) KeepAnswer(ctx context.Context, tx *store.Tx, out any) error {
	body, err := EncodeAnswer(out)
	if err != nil {
		return err
	}
	if err := rq.keep(ctx, tx, http.StatusOK, body); err != nil {
		return err
	}
	rq.answer = body
	return nil
}

// KeepContent has a hash of the streamed body kept with the answer, by which the request is told
// from another with its idempotency key and as long a body.
func (rq *Request) KeepContent(hash []byte) {
	if rq.idempotent != nil {
		rq.idempotent.content = hash
	}
}

// KeepRefusal keeps in tx, where the request has an idempotency key, how it is
// refused when it comes again. What this one is answered is not kept then. As all that a
// transaction does it may be done again, in another one.
func (rq *Request) KeepRefusal(ctx context.Context, tx *store.Tx, e *bctrl.Error) error {
	if rq.idempotent != nil {
		rq.refusable = rq.idempotent
		rq.KeepNoAnswer()
	}
	return rq.keepFor(ctx, tx, rq.refusable, e.Status, EncodeError(e, rq.ID))
}

// KeepNoAnswer has nothing kept for the request's idempotency key from now on:
// asked again, the request is done again unless a refusal was kept.
func (rq *Request) KeepNoAnswer() { rq.idempotent = nil }

// keep remembers an answer in tx, sealed: it may hold what is shown once, such
// as a new key. The fingerprint is sealed with it: it is a hash of the request,
// and a guess at a password that was in there could be tried on it.
func (rq *Request) keep(ctx context.Context, tx *store.Tx, status int, body []byte) error {
	return rq.keepFor(ctx, tx, rq.idempotent, status, body)
}

func (rq *Request) keepFor(ctx context.Context, tx *store.Tx, id *idempotencyKey, status int, body []byte) error {
	if id == nil {
		return nil
	}
	return rq.kernel.keepAnswer(ctx, tx, rq.Caller.Org, rq.answerKey(id), status, body)
}

func (k *Kernel) keepAnswer(
	ctx context.Context, tx *store.Tx, org string, key AnswerKey, status int, body []byte,
) error {
	plain, err := json.Marshal(keptAnswer{key.Fingerprint, key.Content, key.Permitted, body})
	if err != nil {
		return err
	}
	sealed, err := k.Keys.Seal(answerRecord(org, key.Own, status), plain)
	if err != nil {
		return err
	}
	answer := store.Answer{Status: status, Sealed: sealed, CreatedAt: store.Now()}
	return tx.InsertAnswer(ctx, org, store.AnswerKey{Own: key.Own, Order: key.Order}, answer)
}

// giveFirstAnswer gives a first answer once more, unless it could not be found for an error. It
// may be of a change that was not acknowledged, since the database or another node was silent then.
func (k *Kernel) giveFirstAnswer(w http.ResponseWriter, rq *Request, first *firstAnswer, err error) error {
	rq.KeepNoAnswer() // there is one
	if err != nil {
		return err
	}
	rq.decided, rq.recorded = true, true // the first time
	if err := k.Obey(rq.Context(), store.RuleChange{Org: rq.Caller.Org}); err != nil {
		return err
	}
	WriteJSON(w, first.status, first.body)
	return nil
}

// answerRecord binds the key and the status of an answer to its seal.
func answerRecord(org, own string, status int) seal.Record {
	return seal.Record{
		Kind:    "answer",
		UID:     own,
		Scope:   org,
		Version: 2,
		Meta:    strconv.AppendInt(nil, int64(status), 10),
	}
}

// SweepAnswers forgets answers that are a day old, some at a time so that no write
// waits long.
func (k *Kernel) SweepAnswers(ctx context.Context) error {
	for {
		var n int64
		err := k.DB.Write(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DeleteAnswersBefore(ctx, time.Now().Add(-answersKeptFor), 1000)
			return err
		})
		if err != nil || n < 1000 {
			return err
		}
	}
}
