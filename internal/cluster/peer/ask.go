package peer

import (
	"bytes"
	"context"
	"encoding/json"
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
)

// AnswerFunc answers a question, which is JSON. The answer is encoded as JSON.
type AnswerFunc func(ctx context.Context, question []byte) (answer any, err error)

// Answer has the questions of a name be answered. It is called before [Peers.Listen].
func (p *Peers) Answer(name string, answer AnswerFunc) { p.answers[name] = answer }

// Ask asks another node a question of a name, and decodes its answer. It waits two seconds at
// most. The error may be that the node is of another version and does not know the question.
func (p *Peers) Ask(ctx context.Context, to cluster.Node, name string, question, answer any) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, nodeKey{}, to), askTime)
	defer cancel()
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
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the node %s: it answers %d", to.ID, got.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(got.Body, maxAsked)).Decode(answer); err != nil {
		return fmt.Errorf("asking the node %s: %w", to.ID, err)
	}
	return nil
}

// answerPeer answers a question of another node.
func (p *Peers) answerPeer(w http.ResponseWriter, r *http.Request, name string) {
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
		p.log.Warn("a question of another node was not answered", "question", name, "error", err)
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // it may have gone
}
