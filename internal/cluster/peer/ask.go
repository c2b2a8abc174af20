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

// AnswerFunc answers a question, which is JSON. The answer is encoded as JSON.
type AnswerFunc func(ctx context.Context, question []byte) (answer any, err error)

// Answer has the questions of a name be answered. It is called before [Peers.Listen].
func (p *Peers) Answer(name string, answer AnswerFunc) { p.answers[name] = answer }

// ErrUnknownQuestion is the error of a question that the other node does not know, being of
// another version.
var ErrUnknownQuestion = errors.New("the node does not know the question")

// Ask asks another node a question of a name, and decodes its answer. It waits two seconds at
// most. The error is [ErrUnknownQuestion], that of the cluster's secret, or that there is no answer.
func (p *Peers) Ask(ctx context.Context, to cluster.Node, name string, question, answer any) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, nodeKey{}, to), askTime)
	defer cancel()
	if _, _, err := p.identity.current(ctx); err != nil { // a connection that is open would do
		return err
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	at := "https://" + nameOf(to.ID) + pathAsk + name
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	got, err := p.transport.RoundTrip(rq)
	if err != nil {
		return fmt.Errorf("asking the node %s: %w", to.ID, err)
	}
	defer got.Body.Close()
	switch got.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return fmt.Errorf("asking the node %s: %w", to.ID, ErrUnknownQuestion)
	case http.StatusServiceUnavailable:
		return fmt.Errorf("asking the node %s: it is locked", to.ID)
	default:
		why, _ := io.ReadAll(io.LimitReader(got.Body, maxWhy))
		return fmt.Errorf("asking the node %s: it answers %d: %s", to.ID, got.StatusCode, bytes.TrimSpace(why))
	}
	if err := json.NewDecoder(io.LimitReader(got.Body, maxAsked)).Decode(answer); err != nil {
		return fmt.Errorf("asking the node %s: %w", to.ID, err)
	}
	return nil
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
	_ = json.NewEncoder(w).Encode(out) // it may have gone
}
