package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

const (
	// pathAsk begins the paths of what nodes ask each other for themselves, and not for a caller.
	pathAsk = "/peer/ask/"
	// askTime is how long an answer is waited for: somebody waits for the one that it is put into.
	askTime = 2 * time.Second
	// maxAsked bounds a question, and an answer, in bytes.
	maxAsked = 4 << 20
	// maxWhy bounds what is told of why there is no answer, in bytes.
	maxWhy = 1 << 10
)

// AnswerFunc answers a question, which is JSON. The answer is encoded as JSON, each part of one
// that is [InParts].
type AnswerFunc func(ctx context.Context, question []byte) (answer any, err error)

// InParts is an answer of which a part is known at once, and the rest when Rest returns. The
// context that Rest is called with ends when nobody waits for it any more.
type InParts struct {
	First any
	Rest  func(ctx context.Context) any
}

// Answer has the questions of a name be answered. It is called before [Peers.Listen].
func (p *Peers) Answer(name string, answer AnswerFunc) { p.answers[name] = answer }

// ErrUnknownQuestion is the error of a question that the other node does not know, being of
// another version.
var ErrUnknownQuestion = errors.New("the node does not know the question")

// Ask asks another node a question of a name, and decodes its answer. It waits two seconds at
// most. The error is [ErrUnknownQuestion], that of the cluster's secret, or that there is no answer.
func (p *Peers) Ask(ctx context.Context, to cluster.Node, name string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	got, err := p.ask(ctx, to, name, question)
	if err != nil {
		return err
	}
	defer got.Close()
	if err := json.NewDecoder(io.LimitReader(got, maxAsked)).Decode(answer); err != nil {
		return fmt.Errorf("asking the node %s: %w", to.ID, err)
	}
	return nil
}

// AskInParts is [Peers.Ask] for a question whose answer may be [InParts], of which it decodes the
// first. It returns a function that is called once: it decodes the rest, for which it waits as long
// as the node lives and can be reached, and fails with [ErrLost] or the error of [Peers.EndAll]
// where that ends first. Called with nil it waits for nothing.
func (p *Peers) AskInParts(
	ctx context.Context, to cluster.Node, name string, question, first any,
) (rest func(any) error, err error) {
	ctx, done := p.follow(ctx, to)
	late := time.AfterFunc(askTime, done)
	got, err := p.ask(ctx, to, name, question)
	if err != nil {
		done()
		return nil, err
	}
	parts := json.NewDecoder(io.LimitReader(got, maxAsked))
	err = parts.Decode(first)
	if err == nil && !late.Stop() {
		err = context.DeadlineExceeded
	}
	if err != nil {
		done()
		return nil, errors.Join(fmt.Errorf("asking the node %s: %w", to.ID, err), got.Close())
	}
	return func(rest any) error {
		defer got.Close()
		defer done() // before it is closed, so that nothing is read for it
		if rest == nil {
			return nil
		}
		if err := parts.Decode(rest); err != nil {
			return errors.Join(ErrLost, context.Cause(ctx), err)
		}
		return nil
	}, nil
}

// ask asks another node, and returns the body of its answer.
func (p *Peers) ask(ctx context.Context, to cluster.Node, name string, question any) (io.ReadCloser, error) {
	ctx = context.WithValue(ctx, nodeKey{}, to)
	if _, _, err := p.identity.current(ctx); err != nil { // a connection that is open would do
		return nil, err
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	at := "https://" + nameOf(to.ID) + pathAsk + name
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	got, err := p.transport.RoundTrip(rq)
	if err != nil {
		return nil, fmt.Errorf("asking the node %s: %w", to.ID, err)
	}
	switch got.StatusCode {
	case http.StatusOK:
		return got.Body, nil
	case http.StatusNotFound:
		err = ErrUnknownQuestion
	case http.StatusServiceUnavailable:
		err = errors.New("it is locked")
	default:
		why, _ := io.ReadAll(io.LimitReader(got.Body, maxWhy))
		err = fmt.Errorf("it answers %d: %s", got.StatusCode, bytes.TrimSpace(why))
	}
	return nil, errors.Join(fmt.Errorf("asking the node %s: %w", to.ID, err), got.Body.Close())
}

// answerPeer answers a question of another node, but while this one is locked.
func (p *Peers) answerPeer(w http.ResponseWriter, r *http.Request, name string) {
	if _, _, err := p.identity.current(r.Context()); err != nil {
		w.Header().Set("Connection", "close") // it was made before the lock
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	}
	answer := p.answers[name]
	if answer == nil {
		http.Error(w, "", http.StatusNotFound)
		return
	}
	question, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAsked))
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	out, err := answer(r.Context(), question)
	if err != nil {
		p.log.Debug("a question of another node was not answered", "question", name, "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError) // for the log of who asks
		return
	}
	w.Header().Set("Content-Type", "application/json")
	parts := json.NewEncoder(w)
	if in, ok := out.(InParts); ok {
		_ = parts.Encode(in.First)
		_ = http.NewResponseController(w).Flush()
		if out = in.Rest(r.Context()); r.Context().Err() != nil {
			return // nobody waits for it, or is to take it for an answer
		}
	}
	_ = parts.Encode(out) // it may have gone
}
