package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// maxAnswer bounds what a node answers to [Peers.Ask], in bytes.
const maxAnswer = 8 << 20

// Ask has another node answer a question of the server's own, at a path that its handler for
// peers alone knows, and decodes the answer. A status other than 200 is returned with its
// body; ctx bounds the wait.
func (p *Peers) Ask(ctx context.Context, to cluster.Node, path string, in, out any) (refused *Refused, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	ctx, done := p.follow(ctx, to)
	defer done()
	res, err := p.ask(ctx, to, http.MethodPost, path, body)
	if err != nil {
		return nil, errors.Join(ErrLost, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, errors.Join(ErrLost, err)
	}
	if res.StatusCode != http.StatusOK {
		return &Refused{Status: res.StatusCode, Body: text}, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("the answer of a node: %w", err)
	}
	return nil, nil //nolint:nilnil // it is not refused
}

// Refused is an answer of a node that is none to the question.
type Refused struct {
	Status int
	Body   []byte
}

// ask sends a node a request.
func (p *Peers) ask(
	ctx context.Context, to cluster.Node, method, path string, body []byte,
) (*http.Response, error) {
	ctx = context.WithValue(ctx, nodeKey{}, to)
	rq, err := http.NewRequestWithContext(ctx, method, "https://"+nameOf(to.ID)+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	rq.Header.Set("Content-Type", "application/json")
	return p.transport.RoundTrip(rq)
}
